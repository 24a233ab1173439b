/* stream_http.c - server-sent events of one exchange. */
#include "node/exchange_http.h"

#include <stdlib.h>
#include <string.h>

bool buffer_add(struct buffer *b, const void *data, size_t len)
{
    if (b->sent && b->sent == b->len)
        b->sent = b->len = 0;
    if (b->len + len > b->cap) {
        size_t cap = (b->len + len) * 2 + 256;
        char *grown = realloc(b->data, cap);
        if (!grown)
            return false;
        b->data = grown;
        b->cap = cap;
    }
    memcpy(b->data + b->len, data, len);
    b->len += len;
    return true;
}

static bool put_event(struct exchange *e, char *json)
{
    bool fine = json && buffer_add(&e->out, "data: ", 6) && buffer_add(&e->out, json, strlen(json)) && buffer_add(&e->out, "\n\n", 2);
    free(json);
    return fine;
}

static struct api_answer answer_of(const struct exchange *e, const char *finish)
{
    return (struct api_answer){ .chat = e->request.chat, .id = e->id, .model = e->request.model, .finish = finish,
                                .created = e->created, .fingerprint = e->fingerprint };
}

bool exchange_put_text(struct exchange *e)
{
    struct api_answer a = answer_of(e, NULL);
    if (!e->accepted && e->request.chat && !put_event(e, api_chunk_first(&a)))
        return false;
    e->accepted = true;
    struct bytes text = answer_text_take(&e->text);
    return text.len == 0 || put_event(e, api_chunk_text(&a, text));
}

static const char *finish_word(const struct exchange *e)
{
    return e->satisfied || e->finish == FINISH_STOP ? "stop" : "length";
}

bool exchange_put_end(struct exchange *e)
{
    if (e->failed)
        return exchange_put_text(e) && put_event(e, api_error_json(&e->fault)) && buffer_add(&e->out, "data: [DONE]\n\n", 14);
    struct api_answer a = answer_of(e, finish_word(e)), b = answer_of(e, NULL);
    return answer_text_end(&e->text) == OK && exchange_put_text(e) && put_event(e, api_chunk_last(&a, &e->usage)) &&
           (!e->request.include_usage || put_event(e, api_chunk_usage(&b, &e->usage))) &&
           buffer_add(&e->out, "data: [DONE]\n\n", 14);
}
