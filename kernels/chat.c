/* chat.c - which family does a template belong to, and what are its features? */
#include "kernels/chat.h"

#include <stdlib.h>
#include <string.h>

const char *chat_family_name(enum chat_family family)
{
    switch (family) {
    case CHAT_PLAIN:
        return "plain";
    case CHAT_CHATML:
        return "chatml";
    case CHAT_LLAMA3:
        return "llama3";
    case CHAT_LLAMA2:
        return "llama2";
    case CHAT_MISTRAL:
        return "mistral";
    case CHAT_ZEPHYR:
        return "zephyr";
    case CHAT_PHI3:
        return "phi3";
    case CHAT_GEMMA:
        return "gemma";
    }
    return "?";
}

/* Where `needle` begins in text, or SIZE_MAX. */
static size_t find(struct bytes text, const char *needle)
{
    const size_t len = strlen(needle);
    for (size_t at = 0; at + len <= text.len; at++) {
        const uint8_t *hit = memchr(text.data + at, needle[0], text.len - at - len + 1);
        if (!hit)
            return SIZE_MAX;
        at = (size_t)(hit - text.data);
        if (memcmp(hit, needle, len) == 0)
            return at;
    }
    return SIZE_MAX;
}

static bool has(struct bytes text, const char *needle) { return find(text, needle) != SIZE_MAX; }

/* Marks that other families' templates do not have come first; marks of formats that only look alike are excluded. */
static bool recognise(struct bytes s, enum chat_family *out)
{
    if (has(s, "<|im_start|>") && !has(s, "<|im_sep|>"))
        *out = CHAT_CHATML;
    else if (has(s, "<|start_header_id|>") && has(s, "<|end_header_id|>"))
        *out = CHAT_LLAMA3;
    else if (has(s, "[INST]") && has(s, "<<SYS>>"))
        *out = CHAT_LLAMA2;
    else if (has(s, "[INST]") && !has(s, "[SYSTEM_PROMPT]"))
        *out = CHAT_MISTRAL;
    else if (has(s, "<start_of_turn>"))
        *out = CHAT_GEMMA;
    else if (has(s, "<|assistant|>") && has(s, "<|end|>") && !has(s, "[gMASK]"))
        *out = CHAT_PHI3;
    else if (has(s, "<|assistant|>") && has(s, "eos_token") && !has(s, "[gMASK]"))
        *out = CHAT_ZEPHYR;
    else
        return false;
    return true;
}

/* Qwen and SmolLM write a system text of their own where the conversation has none: it stands in the template between
 * the opening of a system turn and <|im_end|>. A Jinja expression in between means that it is something else. */
static void read_default_system(struct bytes s, struct chat *c)
{
    static const char *const openings[] = { "<|im_start|>system\\n", "<|im_start|>system\n" };
    static const char closing[] = "<|im_end|>";
    const size_t reach = CHAT_SYSTEM_BYTES_MAX + strlen(closing);
    for (size_t i = 0; i < ARRAY_COUNT(openings); i++) {
        struct bytes rest = s;
        for (size_t at; (at = find(rest, openings[i])) != SIZE_MAX;) {
            at += strlen(openings[i]);
            rest = bytes_of(rest.data + at, rest.len - at);
            /* Not further than a text may reach: a template of nothing but openings would be read once for each. */
            size_t len = find(bytes_of(rest.data, rest.len < reach ? rest.len : reach), closing);
            if (len == 0 || len >= CHAT_SYSTEM_BYTES_MAX)
                continue;
            struct bytes text = bytes_of(rest.data, len);
            if (has(text, "'") || has(text, "\"") || has(text, "{") || has(text, "\\"))
                continue;
            memcpy(c->default_system, text.data, len);
            c->default_system_len = (uint16_t)len;
            return;
        }
    }
}

static void read_inst_style(struct bytes s, struct chat *c)
{
    c->inst_space_before = has(s, "' [INST] '") || has(s, "\" [INST] \"");
    c->inst_space_inside = has(s, "[INST] ");
    c->inst_space_close = has(s, " [/INST]");
    c->inst_space_answer = has(s, "' ' + message['content']") || has(s, "\" \" + message[\"content\"]");
    c->inst_space_end = has(s, "eos_token + ' '") || has(s, "eos_token + \" \"");
    c->inst_bos_each = has(s, "bos_token + '[INST]") || has(s, "bos_token + \"[INST]");
    c->inst_trims = has(s, "content.strip()") || has(s, "|trim + eos_token");
    c->system_with_last = has(s, "loop.last and system_message");
}

static uint8_t copy_token_text(const struct tokenizer *t, bool present, uint32_t id, char out[CHAT_TOKEN_TEXT_MAX])
{
    struct bytes text = present ? tokenizer_token_text(t, id) : bytes_text("");
    if (text.len == 0 || text.len > CHAT_TOKEN_TEXT_MAX)
        return 0;
    memcpy(out, text.data, text.len);
    return (uint8_t)text.len;
}

enum err chat_open(const struct gguf *g, const struct tokenizer *t, struct chat *out, struct fault *why)
{
    struct chat c = { .family = CHAT_PLAIN };
    uint32_t id = 0;
    bool present = tokenizer_bos(t, &id);
    c.bos_len = copy_token_text(t, present, id, c.bos);
    present = tokenizer_eos(t, &id);
    c.eos_len = copy_token_text(t, present, id, c.eos);
    struct bytes source;
    enum err e = gguf_get_string(g, "tokenizer.chat_template", &source);
    if (e == ERR_NOT_FOUND) {
        if (tokenizer_find_control(t, bytes_text("<|im_start|>"), &id) &&
            tokenizer_find_control(t, bytes_text("<|im_end|>"), &id))
            c.family = CHAT_CHATML;
        *out = c;
        return OK;
    }
    if (e != OK)
        return fault_set(why, ERR_FORMAT, "'tokenizer.chat_template' is not a string");
    if (source.len > CHAT_TEMPLATE_BYTES_MAX)
        return fault_set(why, ERR_TOO_LARGE, "the model's chat template has %zu bytes, more than %d", source.len,
                         CHAT_TEMPLATE_BYTES_MAX);
    if (!recognise(source, &c.family))
        return fault_set(why, ERR_UNSUPPORTED, "the model's chat template is of no known family; it begins '%s'",
                         fault_name(source).text);
    if (c.family == CHAT_CHATML)
        read_default_system(source, &c);
    if (c.family == CHAT_MISTRAL || c.family == CHAT_LLAMA2)
        read_inst_style(source, &c);
    c.dates = c.family == CHAT_LLAMA3 && has(source, "Cutting Knowledge Date");
    *out = c;
    return OK;
}

/* Families whose template itself begins with BOS, whatever the tokenizer says. */
static bool begins_with_bos(enum chat_family family)
{
    switch (family) {
    case CHAT_LLAMA3:
    case CHAT_LLAMA2:
    case CHAT_MISTRAL:
    case CHAT_GEMMA:
        return true;
    case CHAT_PLAIN:
    case CHAT_CHATML:
    case CHAT_ZEPHYR:
    case CHAT_PHI3:
        return false;
    }
    return false;
}

static enum err append_bos(const struct chat *c, const struct tokenizer *t, struct token_list *out)
{
    uint32_t bos;
    if (!tokenizer_bos(t, &bos) || !(begins_with_bos(c->family) || tokenizer_adds_bos(t)))
        return OK;
    if (out->count == out->cap)
        return ERR_FULL;
    out->ids[out->count++] = bos;
    return OK;
}

enum err chat_encode(const struct chat *c, const struct tokenizer *t, const struct chat_message *messages,
                     size_t n_messages, bool answer, struct token_list *out)
{
    if (n_messages == 0 || n_messages > CHAT_MESSAGES_MAX)
        return ERR_ARG;
    struct text_segment *segments = calloc(chat_segments_max(n_messages), sizeof *segments);
    if (!segments)
        return ERR_MEMORY;
    size_t n_segments = 0;
    struct token_list list = *out;
    enum err e = chat_render(c, messages, n_messages, answer, segments, chat_segments_max(n_messages), &n_segments);
    if (e == OK)
        e = append_bos(c, t, &list);
    if (e == OK)
        e = tokenizer_encode(t, segments, n_segments, &list);
    if (e == OK)
        out->count = list.count;
    free(segments);
    return e;
}
