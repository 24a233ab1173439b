/* api_jansson.h - OpenAI's JSON: requests in, chunks and errors out. No HTTP, no sockets.
 *
 * Unknown fields are ignored; a field of the wrong type, or one that asks for something we do not do (n > 1, tools,
 * logprobs, ...), is refused with its name, so that no client believes it got what it did not.
 *
 * Owns:    a parsed request owns its heap strings; api_request_fini() frees them.
 * Threads: pure apart from the heap. Spec: docs/api.md
 */
#ifndef TALLYMESH_NODE_API_JANSSON_H
#define TALLYMESH_NODE_API_JANSSON_H

#include "kernels/chat.h"
#include "node/answer_text.h"
#include "node/event.h"

enum { API_MODEL_CHARS_MAX = 140, API_BODY_BYTES_MAX = 4 << 20, API_OUTPUT_DEFAULT = 512, API_TEXT_MAX = 240 };

struct api_fault {
    unsigned status;                                   /* HTTP */
    const char *type, *code;                           /* OpenAI's words; static */
    char param[48], message[API_TEXT_MAX];
};

struct api_request {
    bool chat, stream, include_usage, has_seed, has_output_max, has_ids;
    char model[API_MODEL_CHARS_MAX + 1];
    struct chat_message *messages; size_t message_count;   /* contents point into `json` */
    struct bytes prompt;                               /* completions: text */
    uint32_t *ids; size_t id_count;                    /* completions: token ids */
    uint32_t output_max, temperature_micro, top_k, top_p_micro;
    uint64_t seed;
    char stops[STOPS_MAX][STOP_BYTES_MAX + 1];
    uint32_t stop_count;
    void *json, *joined;                               /* what the views above point into */
};

enum err api_parse(struct bytes body, bool chat, struct api_request *out, struct api_fault *why) MUST_CHECK;
void api_request_fini(struct api_request *r);
/* Frees messages, prompt and ids once they are tokens; a parsed body is many times the text in it. */
void api_request_drop_prompt(struct api_request *r);

/* The fault for an error of the mesh. */
void api_fault_of(enum err e, const char *text, struct api_fault *out);
/* {"error":{...}}; heap, free() it. NULL: out of memory. */
char *api_error_json(const struct api_fault *f);

struct api_usage {
    uint32_t tokens_in, tokens_cached, tokens_out;
    uint64_t cost_pico;
    char job[2 * JOB_ID_BYTES + 1];
    struct hash receipts[RECEIPTS_PER_REQUEST_MAX];
    uint32_t receipt_count;
    bool local;
};

struct api_answer {
    bool chat;
    const char *id, *model, *finish;                   /* finish NULL: not yet */
    int64_t created;
    const char *fingerprint;
};

/* One streaming event without "data: ": first (role), text, last (finish and usage), or the usage-only chunk. */
char *api_chunk_first(const struct api_answer *a);
char *api_chunk_text(const struct api_answer *a, struct bytes text);
char *api_chunk_last(const struct api_answer *a, const struct api_usage *u);
char *api_chunk_usage(const struct api_answer *a, const struct api_usage *u);
/* The whole answer at once. */
char *api_answer_json(const struct api_answer *a, struct bytes text, const struct api_usage *u);

#endif
