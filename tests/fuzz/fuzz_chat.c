/* fuzz_chat.c - any bytes as a chat template, a tokenizer and a conversation: opening and rendering stay inside their
 * bounds, and whatever the template is taken for, users' text yields no control token.
 *
 * Input: one byte of message lengths, then a template up to the first 0xff, then the messages' contents.
 */
#include <stdlib.h>
#include <string.h>

#include "kernels/chat.h"
#include "tests/gguf_writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t template_controls(const struct tokenizer *t, const struct text_segment *segments, size_t n, bool template)
{
    size_t controls = 0;
    for (size_t i = 0; i < n; i++) {
        if (segments[i].is_template != template)
            continue;
        struct token_list list = { .ids = malloc((segments[i].text.len + 1) * sizeof(uint32_t)),
                                   .cap = segments[i].text.len + 1 };
        ENSURE(list.ids && tokenizer_encode(t, &segments[i], 1, &list) == OK);
        for (size_t j = 0; j < list.count; j++)
            controls += tokenizer_is_control(t, list.ids[j]);
        free(list.ids);
    }
    return controls;
}

static void talk(const struct chat *c, const struct tokenizer *t, struct bytes contents, uint8_t shape)
{
    enum { MESSAGES = 4, IDS = 8192 };
    static uint32_t ids[IDS];
    struct chat_message messages[MESSAGES];
    struct text_segment segments[64];
    size_t n = 1 + shape % MESSAGES, at = 0, count;
    for (size_t i = 0; i < n; i++) {
        size_t left = contents.len - at, len = i + 1 == n ? left : left / (n - i);
        messages[i] = (struct chat_message){ (enum chat_role)((shape >> (2 + i)) % 3), bytes_of(contents.data + at, len) };
        at += len;
    }
    ENSURE(chat_segments_max(n) <= ARRAY_COUNT(segments));
    enum err e = chat_render(c, messages, n, shape & 1, segments, ARRAY_COUNT(segments), &count);
    if (e != OK) {
        ENSURE(e == ERR_ARG);
        return;
    }
    struct token_list list = { .ids = ids, .cap = IDS };
    if (chat_encode(c, t, messages, n, shape & 1, &list) != OK)
        return;
    size_t controls = 0;
    for (size_t i = 0; i < list.count; i++)
        controls += tokenizer_is_control(t, ids[i]);
    ENSURE(template_controls(t, segments, count, false) == 0);
    ENSURE(controls == template_controls(t, segments, count, true));   /* this vocabulary has no BOS */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tokenizer *t;
    if (size == 0 || size > 4096)
        return 0;
    const uint8_t *end = memchr(data + 1, 0xff, size - 1);
    size_t template_len = end ? (size_t)(end - data) - 1 : size - 1;
    char *template = calloc(1, template_len + 1);
    ENSURE(template != NULL);
    if (template_len)
        memcpy(template, data + 1, template_len);
    struct gguf_writer w;
    struct gguf g;
    struct chat c;
    struct fault why = { "" };
    gguf_writer_init(&w);
    gguf_writer_string(&w, "tokenizer.chat_template", template);
    struct bytes file = gguf_writer_finish(&w);
    ENSURE(gguf_open(file, false, &g, &why) == OK);
    if (!t) {
        struct tiny_llama spec = TINY_LLAMA_DEFAULT;
        struct bytes model = tiny_llama_write(&spec);
        struct gguf m;
        ENSURE(gguf_open(model, false, &m, &why) == OK && tokenizer_open(&m, &t, &why) == OK);
        gguf_close(&m);
        gguf_writer_free(model);
    }
    if (chat_open(&g, t, &c, &why) == OK) {
        size_t used = end ? template_len + 2 : size;
        talk(&c, t, bytes_of(data + used, size - used), data[0]);
    } else {
        ENSURE(why.text[0] != 0);
    }
    gguf_close(&g);
    gguf_writer_free(file);
    free(template);
    return 0;
}
