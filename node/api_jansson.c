/* api_jansson.c - reads OpenAI requests, writes OpenAI answers. */
#include "node/api_jansson.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum err refuse(struct api_fault *why, const char *param, const char *format, ...) __attribute__((format(printf, 3, 4)));
static enum err refuse(struct api_fault *why, const char *param, const char *format, ...)
{
    va_list ap;
    *why = (struct api_fault){ .status = 400, .type = "invalid_request_error", .code = NULL };
    snprintf(why->param, sizeof why->param, "%s", param);
    va_start(ap, format);
    vsnprintf(why->message, sizeof why->message, format, ap);
    va_end(ap);
    return ERR_FORMAT;
}

/* ---- fields: absent and null mean the same ---- */

static const json_t *field(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    return v && !json_is_null(v) ? v : NULL;
}

static enum err read_flag(const json_t *o, const char *name, bool *out, struct api_fault *why)
{
    const json_t *v = field(o, name);
    if (!v)
        return OK;
    if (!json_is_boolean(v))
        return refuse(why, name, "'%s' must be a boolean", name);
    *out = json_is_true(v);
    return OK;
}

static enum err read_u32(const json_t *o, const char *name, uint32_t min, uint32_t max, uint32_t *out, bool *has, struct api_fault *why)
{
    const json_t *v = field(o, name);
    if (!v)
        return OK;
    if (!json_is_integer(v) || json_integer_value(v) < (json_int_t)min || json_integer_value(v) > (json_int_t)max)
        return refuse(why, name, "'%s' must be an integer from %u to %u", name, min, max);
    *out = (uint32_t)json_integer_value(v);
    if (has)
        *has = true;
    return OK;
}

static enum err read_micro(const json_t *o, const char *name, double min, double max, uint32_t *out, struct api_fault *why)
{
    const json_t *v = field(o, name);
    if (!v)
        return OK;
    if (!json_is_number(v) || !(json_number_value(v) >= min) || !(json_number_value(v) <= max))
        return refuse(why, name, "'%s' must be a number from %g to %g", name, min, max);
    *out = (uint32_t)llround(json_number_value(v) * 1e6);
    return OK;
}

/* What we would have to ignore, and the value that is fine. */
static enum err read_unsupported(const json_t *o, struct api_fault *why)
{
    static const char *const zero_numbers[] = { "presence_penalty", "frequency_penalty" };
    static const char *const empty_lists[] = { "tools", "functions" };
    for (size_t i = 0; i < ARRAY_COUNT(zero_numbers); i++) {
        const json_t *v = field(o, zero_numbers[i]);
        if (v && (!json_is_number(v) || json_number_value(v) != 0.0))
            return refuse(why, zero_numbers[i], "'%s' other than 0 is not supported", zero_numbers[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(empty_lists); i++) {
        const json_t *v = field(o, empty_lists[i]);
        if (v && !(json_is_array(v) && json_array_size(v) == 0))
            return refuse(why, empty_lists[i], "'%s' is not supported", empty_lists[i]);
    }
    const json_t *v = field(o, "n");
    if (v && !(json_is_integer(v) && json_integer_value(v) == 1))
        return refuse(why, "n", "'n' other than 1 is not supported");
    if ((v = field(o, "logprobs")) && !json_is_false(v))
        return refuse(why, "logprobs", "'logprobs' is not supported");
    if ((v = field(o, "logit_bias")) && !(json_is_object(v) && json_object_size(v) == 0))
        return refuse(why, "logit_bias", "'logit_bias' is not supported");
    if ((v = field(o, "echo")) && !json_is_false(v))
        return refuse(why, "echo", "'echo' is not supported");
    if ((v = field(o, "suffix")) && !(json_is_string(v) && json_string_length(v) == 0))
        return refuse(why, "suffix", "'suffix' is not supported");
    if ((v = field(o, "response_format"))) {
        const char *type = json_string_value(json_object_get(v, "type"));
        if (!type || strcmp(type, "text") != 0)
            return refuse(why, "response_format", "'response_format' other than text is not supported");
    }
    return OK;
}

static enum err read_stop(const json_t *o, struct api_request *r, struct api_fault *why)
{
    const json_t *v = field(o, "stop");
    size_t n = !v ? 0 : json_is_array(v) ? json_array_size(v) : 1;
    if (n > STOPS_MAX)
        return refuse(why, "stop", "'stop' takes at most %d strings", STOPS_MAX);
    for (size_t i = 0; i < n; i++) {
        const json_t *s = json_is_array(v) ? json_array_get(v, i) : v;
        size_t len = json_string_length(s);
        if (!json_is_string(s) || len == 0 || len > STOP_BYTES_MAX || memchr(json_string_value(s), 0, len))
            return refuse(why, "stop", "'stop' wants strings of 1 to %d bytes", STOP_BYTES_MAX);
        memcpy(r->stops[i], json_string_value(s), len + 1);
        r->stop_count++;
    }
    return OK;
}

static enum err read_sampling(const json_t *o, struct api_request *r, struct api_fault *why)
{
    enum err e;
    r->temperature_micro = r->top_p_micro = 1000000;
    if ((e = read_micro(o, "temperature", 0, 2, &r->temperature_micro, why)) != OK ||
        (e = read_micro(o, "top_p", 0, 1, &r->top_p_micro, why)) != OK ||
        (e = read_u32(o, "top_k", 0, 1000000, &r->top_k, NULL, why)) != OK)
        return e;
    if (r->temperature_micro && r->temperature_micro < 10000)
        r->temperature_micro = 10000;                  /* the smallest that is not greedy */
    if (r->top_p_micro == 0)
        r->top_p_micro = 1;                            /* the most likely token alone */
    const json_t *seed = field(o, "seed");
    if (seed && !json_is_integer(seed))
        return refuse(why, "seed", "'seed' must be an integer");
    r->has_seed = seed != NULL;
    r->seed = seed ? (uint64_t)json_integer_value(seed) : 0;
    return OK;
}

/* ---- messages ---- */

/* The text of a list of {type:"text", text:...} parts, joined; appended to `joined` at *used. */
static enum err join_parts(const json_t *parts, char *joined, size_t *used, struct bytes *out, struct api_fault *why)
{
    size_t begin = *used, i;
    json_t *part;
    json_array_foreach(parts, i, part) {
        const char *type = json_string_value(json_object_get(part, "type"));
        const json_t *text = json_object_get(part, "text");
        if (!type || strcmp(type, "text") != 0 || !json_is_string(text))
            return refuse(why, "messages", "a message's content may hold parts of type text only");
        memcpy(joined + *used, json_string_value(text), json_string_length(text));
        *used += json_string_length(text);
    }
    *out = bytes_of(joined + begin, *used - begin);
    return OK;
}

static enum err read_message(const json_t *m, struct api_request *r, size_t *used, struct chat_message *out, struct api_fault *why)
{
    const char *role = json_string_value(json_object_get(m, "role"));
    const json_t *content = field(m, "content");
    if (!role)
        return refuse(why, "messages", "every message wants a role");
    if (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0)
        out->role = CHAT_SYSTEM;
    else if (strcmp(role, "user") == 0)
        out->role = CHAT_USER;
    else if (strcmp(role, "assistant") == 0)
        out->role = CHAT_ASSISTANT;
    else
        return refuse(why, "messages", "role \"%.40s\" is not supported", role);
    if (json_is_array(content))
        return join_parts(content, r->joined, used, &out->content, why);
    if (content && !json_is_string(content))
        return refuse(why, "messages", "a message's content must be text or a list of text parts");
    out->content = content ? bytes_of(json_string_value(content), json_string_length(content)) : bytes_of(NULL, 0);
    return OK;
}

static enum err read_messages(const json_t *o, struct api_request *r, struct api_fault *why)
{
    const json_t *list = field(o, "messages");
    size_t n = json_array_size(list), used = 0;
    if (!json_is_array(list) || n == 0)
        return refuse(why, "messages", "'messages' must be a list with at least one message");
    if (n > CHAT_MESSAGES_MAX)
        return refuse(why, "messages", "'messages' holds more than %d messages", CHAT_MESSAGES_MAX);
    r->messages = calloc(n, sizeof *r->messages);
    if (!r->messages)
        return ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        enum err e = read_message(json_array_get(list, i), r, &used, &r->messages[i], why);
        if (e != OK)
            return e;
        r->message_count++;
    }
    return OK;
}

static enum err read_prompt(const json_t *o, struct api_request *r, struct api_fault *why)
{
    const json_t *v = field(o, "prompt");
    if (json_is_array(v) && json_array_size(v) == 1 && json_is_string(json_array_get(v, 0)))
        v = json_array_get(v, 0);
    if (json_is_string(v)) {
        r->prompt = bytes_of(json_string_value(v), json_string_length(v));
        return r->prompt.len ? OK : refuse(why, "prompt", "'prompt' is empty");
    }
    size_t n = json_array_size(v);
    if (!json_is_array(v) || n == 0 || n > API_BODY_BYTES_MAX)
        return refuse(why, "prompt", "'prompt' must be a string or a list of token ids");
    r->ids = calloc(n, sizeof *r->ids);
    if (!r->ids)
        return ERR_MEMORY;
    r->has_ids = true;
    for (; r->id_count < n; r->id_count++) {
        const json_t *id = json_array_get(v, r->id_count);
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > UINT32_MAX)
            return refuse(why, "prompt", "'prompt' must be one string, or token ids");
        r->ids[r->id_count] = (uint32_t)json_integer_value(id);
    }
    return OK;
}

static enum err read_request(const json_t *o, bool chat, struct api_request *r, struct api_fault *why)
{
    enum err e;
    const json_t *model = field(o, "model");
    if (!json_is_string(model) || json_string_length(model) == 0 || json_string_length(model) > API_MODEL_CHARS_MAX)
        return refuse(why, "model", "'model' must name a model");
    memcpy(r->model, json_string_value(model), json_string_length(model) + 1);
    if ((e = read_unsupported(o, why)) != OK || (e = read_flag(o, "stream", &r->stream, why)) != OK ||
        (e = read_stop(o, r, why)) != OK || (e = read_sampling(o, r, why)) != OK ||
        (e = read_u32(o, "max_tokens", 1, OUTPUT_TOKENS_MAX, &r->output_max, &r->has_output_max, why)) != OK ||
        (e = read_u32(o, "max_completion_tokens", 1, OUTPUT_TOKENS_MAX, &r->output_max, &r->has_output_max, why)) != OK)
        return e;
    const json_t *options = field(o, "stream_options");
    if (options && !json_is_object(options))
        return refuse(why, "stream_options", "'stream_options' must be an object");
    if (options && (e = read_flag(options, "include_usage", &r->include_usage, why)) != OK)
        return e;
    return chat ? read_messages(o, r, why) : read_prompt(o, r, why);
}

enum err api_parse(struct bytes body, bool chat, struct api_request *out, struct api_fault *why)
{
    json_error_t at;
    struct api_request r = { .chat = chat };
    r.json = json_loadb((const char *)body.data, body.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &at);
    r.joined = malloc(body.len + 1);                   /* joined parts are never longer than the body that held them */
    if (!r.json || !json_is_object((json_t *)r.json) || !r.joined) {
        enum err e = refuse(why, "", "the body is not a JSON object: %.120s (line %d)", r.json ? "another type" : at.text, r.json ? 1 : at.line);
        api_request_fini(&r);
        return e;
    }
    enum err e = read_request(r.json, chat, &r, why);
    if (e != OK) {
        if (e == ERR_MEMORY)
            api_fault_of(e, "out of memory", why);
        api_request_fini(&r);
        return e;
    }
    *out = r;
    return OK;
}

void api_request_drop_prompt(struct api_request *r)
{
    json_decref(r->json);
    free(r->joined);
    free(r->messages);
    free(r->ids);
    r->json = r->joined = NULL;
    r->messages = NULL;
    r->ids = NULL;
    r->message_count = r->id_count = 0;
    r->prompt = bytes_of(NULL, 0);
}

void api_request_fini(struct api_request *r)
{
    api_request_drop_prompt(r);
    memset(r, 0, sizeof *r);
}

/* ---- errors ---- */

struct kind { unsigned status; const char *type, *code; };

/* Every error has a place here, so that one which nobody thought of does not reach a client as "internal error". What the client
 * can mend is 4xx; what may be better in a second is 429 or 503, with Retry-After; 502 is a provider's fault, 500 this node's. */
static struct kind kind_of(enum err e)
{
    static const char *const request = "invalid_request_error", *const missing = "not_found_error", *const rate = "rate_limit_error",
                      *const server = "server_error";
    switch (e) {
    case ERR_ARG: return (struct kind){ 400, request, "invalid_value" };
    case ERR_UNSUPPORTED: return (struct kind){ 400, request, "unsupported" };
    case ERR_CONTEXT: return (struct kind){ 400, request, "context_length_exceeded" };
    case ERR_TOO_LARGE: return (struct kind){ 413, request, "too_large" };

    case ERR_NO_PROVIDER:
    case ERR_NOT_FOUND: return (struct kind){ 404, missing, "model_not_found" };

    case ERR_PINNED: return (struct kind){ 404, missing, "model_changed" };

    case ERR_CREDIT: return (struct kind){ 429, rate, "credit_limit" };
    case ERR_RATE:
    case ERR_QUOTA: return (struct kind){ 429, rate, "rate_limit_exceeded" };

    case ERR_PRICE:
    case ERR_CONSTRAINT:
    case ERR_STATE: return (struct kind){ 503, server, "no_eligible_provider" };    /* ERR_STATE: a frozen channel */
    case ERR_CAPACITY:
    case ERR_FULL: return (struct kind){ 503, server, "no_capacity" };
    case ERR_TIMEOUT:
    case ERR_EXPIRED: return (struct kind){ 503, server, "timeout" };
    case ERR_PEER_GONE:
    case ERR_CANCELLED: return (struct kind){ 503, server, "provider_lost" };
    case ERR_UNAVAILABLE: return (struct kind){ 503, server, "unavailable" };

    case ERR_ENCODING:
    case ERR_FORMAT:
    case ERR_VERSION:
    case ERR_TYPE:
    case ERR_OVERFLOW:
    case ERR_SIGNATURE:
    case ERR_KEY:
    case ERR_POW:
    case ERR_NETWORK:
    case ERR_CERT:
    case ERR_STALE:
    case ERR_REPLAY:
    case ERR_EQUIVOCATION:
    case ERR_MISMATCH:
    case ERR_CHAIN: return (struct kind){ 502, server, "bad_provider" };

    case ERR_NUMERIC:
    case ERR_DEVICE: return (struct kind){ 500, server, "engine_failed" };
    case OK:
    case ERR_EXISTS:
    case ERR_PASSPHRASE:
    case ERR_LOCKED:
    case ERR_PERMISSION:
    case ERR_IO:
    case ERR_DISK_FULL:
    case ERR_CORRUPT:
    case ERR_MEMORY:
    case ERR_CONFIG:
    case ERR_COUNT: break;
    }
    return (struct kind){ 500, server, "internal_error" };
}

void api_fault_of(enum err e, const char *text, struct api_fault *out)
{
    struct kind k = kind_of(e);
    *out = (struct api_fault){ .status = k.status, .type = k.type, .code = k.code };
    snprintf(out->message, sizeof out->message, "%s", text && text[0] ? text : err_text(e));
}

static char *dump(json_t *j)
{
    char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
    json_decref(j);
    return text;
}

/* A message may quote what somebody sent, cut at any byte: an error that cannot be written would be no answer at all. */
static json_t *quoted(const char *text)
{
    char ascii[API_TEXT_MAX];
    json_t *j = json_string(text);
    if (j)
        return j;
    size_t n = 0;
    for (; text[n] && n < sizeof ascii - 1; n++)
        ascii[n] = (unsigned char)text[n] < 0x80 ? text[n] : '?';
    ascii[n] = 0;
    return json_string(ascii);
}

char *api_error_json(const struct api_fault *f)
{
    json_t *param = f->param[0] ? json_string(f->param) : json_null();
    return dump(json_pack("{s:{s:o, s:s, s:o, s:s?}}", "error", "message", quoted(f->message), "type", f->type, "param", param, "code", f->code));
}

/* ---- answers ---- */

static json_t *usage_json(const struct api_usage *u)
{
    char cost[24];
    json_t *receipts = json_array();
    snprintf(cost, sizeof cost, "%" PRIu64, u->cost_pico);
    for (uint32_t i = 0; i < u->receipt_count; i++) {
        char hex[HASH_HEX_CHARS + 1];
        hash_format(&u->receipts[i], hex);
        json_array_append_new(receipts, json_string(hex));
    }
    return json_pack("{s:i, s:i, s:i, s:{s:i}, s:{s:s, s:b, s:s, s:o}}", "prompt_tokens", (int)u->tokens_in,
                     "completion_tokens", (int)u->tokens_out, "total_tokens", (int)(u->tokens_in + u->tokens_out),
                     "prompt_tokens_details", "cached_tokens", (int)u->tokens_cached,
                     "tally", "job", u->job, "local", u->local, "cost_pico", cost, "receipts", receipts);
}

/* choices is stolen. */
static json_t *envelope(const struct api_answer *a, const char *chat_object, json_t *choices)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "id", a->id, "object", a->chat ? chat_object : "text_completion",
                     "created", (json_int_t)a->created, "model", a->model, "system_fingerprint", a->fingerprint, "choices", choices);
}

static json_t *text_value(struct bytes text) { return json_stringn(text.len ? (const char *)text.data : "", text.len); }

/* One choice: delta is stolen and used for chat, text for completions. */
static json_t *choice(const struct api_answer *a, json_t *delta, struct bytes text)
{
    json_t *finish = a->finish ? json_string(a->finish) : json_null();
    if (a->chat)
        return json_pack("[{s:i, s:o, s:n, s:o}]", "index", 0, "delta", delta, "logprobs", "finish_reason", finish);
    json_decref(delta);
    return json_pack("[{s:i, s:o, s:n, s:o}]", "index", 0, "text", text_value(text), "logprobs", "finish_reason", finish);
}

char *api_chunk_first(const struct api_answer *a)
{
    return dump(envelope(a, "chat.completion.chunk", choice(a, json_pack("{s:s, s:s}", "role", "assistant", "content", ""), bytes_of(NULL, 0))));
}

char *api_chunk_text(const struct api_answer *a, struct bytes text)
{
    return dump(envelope(a, "chat.completion.chunk", choice(a, json_pack("{s:o}", "content", text_value(text)), text)));
}

char *api_chunk_last(const struct api_answer *a, const struct api_usage *u)
{
    json_t *j = envelope(a, "chat.completion.chunk", choice(a, json_object(), bytes_of(NULL, 0)));
    if (j)
        json_object_set_new(j, "usage", usage_json(u));
    return dump(j);
}

char *api_chunk_usage(const struct api_answer *a, const struct api_usage *u)
{
    json_t *j = envelope(a, "chat.completion.chunk", json_array());
    if (j)
        json_object_set_new(j, "usage", usage_json(u));
    return dump(j);
}

char *api_answer_json(const struct api_answer *a, struct bytes text, const struct api_usage *u)
{
    json_t *choices;
    if (a->chat)
        choices = json_pack("[{s:i, s:{s:s, s:o, s:n}, s:n, s:s?}]", "index", 0, "message", "role", "assistant", "content",
                            text_value(text), "refusal", "logprobs", "finish_reason", a->finish);
    else
        choices = json_pack("[{s:i, s:o, s:n, s:s?}]", "index", 0, "text", text_value(text), "logprobs", "finish_reason", a->finish);
    json_t *j = envelope(a, "chat.completion", choices);
    if (j)
        json_object_set_new(j, "usage", usage_json(u));
    return dump(j);
}
