/* completion_http.c - a request body becomes work: its fields, then the model's own tokens.
 *
 * Runs on the HTTP thread. Rendering and tokenising happen outside the lock: catalog entries are immutable.
 */
#include "node/exchange_http.h"

#include <microhttpd.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/random_os.h"

static void name_job(struct exchange *e)
{
    random_os(e->job_id, sizeof e->job_id);
    sodium_bin2hex(e->job_hex, sizeof e->job_hex, e->job_id, sizeof e->job_id);
    snprintf(e->id, sizeof e->id, "%s-%s", e->request.chat ? "chatcmpl" : "cmpl", e->job_hex);
    e->created = (int64_t)time(NULL);
}

enum MHD_Result completion_begin(struct exchange *e, bool chat)
{
    struct api_fault f;
    struct gateway_ask a = { .kind = ASK_MODEL, .client = e->client };
    if (!placement_read(e, &f) || api_parse(bytes_of(e->body, e->body_len), chat, &e->request, &f) != OK) {
        gateway_count(e->gateway, &e->gateway->counters.bad_requests);
        return exchange_send_fault(e, &f);
    }
    free(e->body);                                     /* parsed: a request that waits need not keep it */
    e->body = NULL;
    e->body_len = e->body_cap = 0;
    name_job(e);
    snprintf(a.model, sizeof a.model, "%.*s", (int)sizeof a.model - 1, e->request.model);
    e->streaming = e->request.stream;
    pthread_mutex_lock(&e->gateway->lock);
    e->gateway->counters.requests++;
    e->gateway->counters.streams += e->streaming;
    bool queued = gateway_put_ask(e->gateway, &a);
    if (queued) {
        exchange_set_state(e, EXCHANGE_RESOLVING);
        exchange_suspend(e);
    }
    pthread_mutex_unlock(&e->gateway->lock);
    return queued ? MHD_YES : exchange_refuse(e, 503, "server_error", "no_capacity", "too many requests are waiting");
}

static enum err encode_prompt(struct exchange *e, struct token_list *list, struct fault *why)
{
    const struct catalog_entry *m = e->entry;
    if (e->request.chat) {
        if (!m->has_chat)
            return fault_set(why, ERR_UNSUPPORTED, "this model's chat template is of no known family; /v1/completions works");
        return chat_encode(&m->chat, m->tokenizer, e->request.messages, e->request.message_count, true, list);
    }
    if (e->request.has_ids) {
        for (size_t i = 0; i < e->request.id_count; i++) {
            if (e->request.ids[i] >= m->config.vocab)
                return fault_set(why, ERR_ARG, "token id %u is not in the vocabulary", e->request.ids[i]);
            if (list->count == list->cap)
                return ERR_FULL;
            list->ids[list->count++] = e->request.ids[i];
        }
        return OK;
    }
    uint32_t bos;
    if (tokenizer_adds_bos(m->tokenizer) && tokenizer_bos(m->tokenizer, &bos))
        list->ids[list->count++] = bos;
    return tokenizer_encode(m->tokenizer, &(struct text_segment){ .text = e->request.prompt }, 1, list);
}

/* Tokenises outside the lock; the entry is immutable. */
static enum err make_request(struct exchange *e, struct gateway_ask *a, struct fault *why)
{
    size_t ends, context = e->entry->config.context, cap = context < PROMPT_TOKENS_MAX ? context : PROMPT_TOKENS_MAX;
    const uint32_t *end_ids = tokenizer_ends(e->entry->tokenizer, &ends);
    ends = ends < STOP_IDS_MAX ? ends : STOP_IDS_MAX;
    uint32_t *ids = malloc((cap + STOP_IDS_MAX + 1) * sizeof *ids);
    if (!ids)
        return ERR_MEMORY;
    struct token_list list = { .ids = ids, .cap = cap };
    enum err err = encode_prompt(e, &list, why);
    if (err == ERR_FULL || (err == OK && list.count >= context))
        err = fault_set(why, ERR_CONTEXT, "the prompt is longer than this model's context of %zu tokens (or the mesh's %d)", context, PROMPT_TOKENS_MAX);
    if (err == OK && list.count == 0)
        err = fault_set(why, ERR_ARG, "the prompt has no tokens");
    if (err != OK) {
        free(ids);
        return err;
    }
    memcpy(ids + list.count, end_ids, ends * sizeof *ids);
    uint32_t room = (uint32_t)(context - list.count), wanted = e->request.has_output_max ? e->request.output_max : API_OUTPUT_DEFAULT;
    if (!e->request.has_seed)
        random_os(&e->request.seed, sizeof e->request.seed);
    *a = (struct gateway_ask){ .kind = ASK_SUBMIT, .client = e->client, .owned = ids };
    a->request = (struct request){
        .client = e->client, .model = e->entry->id, .prompt = ids, .prompt_count = (uint32_t)list.count,
        .output_max = wanted < room ? wanted : room, .stop_ids = ids + list.count, .stop_count = (uint32_t)ends,
        .temperature_micro = e->request.temperature_micro, .top_k = e->request.top_k, .top_p_micro = e->request.top_p_micro,
        .seed = e->request.seed, .class = e->class, .limits = e->limits, .allow_local = e->allow_local,
    };
    memcpy(a->request.job_id, e->job_id, sizeof e->job_id);
    random_os(&a->request.nonce, sizeof a->request.nonce);
    return OK;
}

enum MHD_Result completion_submit(struct exchange *e)
{
    struct gateway_ask a;
    struct fault why = { { 0 } };
    struct api_fault f;
    enum err err = make_request(e, &a, &why);
    if (err != OK) {
        api_fault_of(err, why.text, &f);
        return exchange_send_fault(e, &f);
    }
    api_request_drop_prompt(&e->request);
    answer_text_init(&e->text, e->entry->tokenizer);
    memcpy(e->text.stops, e->request.stops, sizeof e->text.stops);
    e->text.stop_count = e->request.stop_count;
    char hex[HASH_HEX_CHARS + 1];
    hash_format(&e->entry->id, hex);
    snprintf(e->fingerprint, sizeof e->fingerprint, "nv1-%.16s", hex);
    pthread_mutex_lock(&e->gateway->lock);
    bool queued = gateway_put_ask(e->gateway, &a);
    if (queued) {
        exchange_set_state(e, EXCHANGE_RUNNING);
        exchange_suspend(e);
    }
    pthread_mutex_unlock(&e->gateway->lock);
    if (queued)
        return MHD_YES;
    gateway_ask_free(&a);
    return exchange_refuse(e, 503, "server_error", "no_capacity", "too many requests are waiting");
}
