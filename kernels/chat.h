/* chat.h - how does this model want a conversation written?
 *
 * Models are trained on one particular way to write turns. The file carries it as a Jinja program
 * (`tokenizer.chat_template`); we do not run it, we recognise which of the common families it belongs to and write that
 * family ourselves:
 *
 *   ChatML    <|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n         Qwen, SmolLM, our own demo model
 *   Llama 3   <|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>...
 *   Llama 2   <s>[INST] <<SYS>>\n...\n<</SYS>>\n\nHi [/INST] Hello </s>...
 *   Mistral   <s>[INST] Hi [/INST]Hello</s>...   (its spaces vary between releases and are read off the template)
 *   Zephyr    <|user|>\nHi</s>\n<|assistant|>\n                                TinyLlama
 *   Phi-3     <|user|>\nHi<|end|>\n<|assistant|>\n
 *   Gemma     <start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n
 *
 * Without a template: ChatML if the vocabulary has its tokens, else plain (contents, each followed by a newline). A
 * template of no known family is refused with a sentence that shows how it begins; plain completions still work.
 *
 * System messages: ChatML, Llama 3, Zephyr and Phi-3 write them as a turn; Llama 2, Mistral and Gemma have no such turn
 * and put the text before the first question (some Mistral releases: the last). ChatML templates that name a default
 * system text get it when the conversation has no system message; Llama 3.1 templates get their two date lines (with
 * the template's own default date, because this code has no clock).
 *
 * What users wrote stays theirs: the result is a list of segments (tokenizer.h), and only those that come from
 * the template may contain control tokens. Where a family frames its turns in plain letters instead of control tokens
 * (Zephyr's <|user|>, [INST] of the first Mistral models), a user can still imitate them: that is a weakness of those
 * models which no renderer can mend.
 *
 * Owns:    nothing outside the struct.
 * Threads: read-only after opening.
 * Effects: heap memory while encoding.
 */
#ifndef TALLYMESH_KERNELS_CHAT_H
#define TALLYMESH_KERNELS_CHAT_H

#include "crypto/base.h"
#include "kernels/gguf.h"
#include "kernels/tokenizer.h"

enum {
    CHAT_MESSAGES_MAX = 4096,
    CHAT_TEMPLATE_BYTES_MAX = 1 << 20,   /* the largest seen have some 30 KB */
    CHAT_SYSTEM_BYTES_MAX = 512,   /* of a template's default system text; longer ones are ignored */
    CHAT_TOKEN_TEXT_MAX = 64       /* of the texts of BOS and EOS */
};

enum chat_family {
    CHAT_PLAIN,
    CHAT_CHATML,
    CHAT_LLAMA3,
    CHAT_LLAMA2,
    CHAT_MISTRAL,
    CHAT_ZEPHYR,
    CHAT_PHI3,
    CHAT_GEMMA
};

enum chat_role { CHAT_SYSTEM, CHAT_USER, CHAT_ASSISTANT };

struct chat_message {
    enum chat_role role;
    struct bytes content;
};

struct chat {
    enum chat_family family;
    bool dates;                   /* Llama 3.1: the system turn begins with two date lines */
    bool inst_space_before;       /* Mistral: " [INST] " instead of "[INST] " */
    bool inst_space_inside;       /* "[INST] Hi" instead of "[INST]Hi" */
    bool inst_space_close;        /* "Hi [/INST]" instead of "Hi[/INST]" */
    bool inst_space_answer;       /* "[/INST] Hello" */
    bool inst_space_end;          /* "</s> [INST]" */
    bool inst_bos_each;           /* Llama 2: "<s>" before every question, not only the first */
    bool inst_trims;              /* contents lose the white space around them (Mistral: answers only) */
    bool system_with_last;        /* Mistral: the system text goes before the last question */
    uint16_t default_system_len;
    uint8_t bos_len, eos_len;
    char default_system[CHAT_SYSTEM_BYTES_MAX];
    char bos[CHAT_TOKEN_TEXT_MAX], eos[CHAT_TOKEN_TEXT_MAX];
};

/* "chatml", "llama3", ...: for logs and status. Static storage. */
const char *chat_family_name(enum chat_family family);

/* Recognises the family. ERR_UNSUPPORTED: a template of no known family; *why (may be NULL) says how it begins.
 * ERR_TOO_LARGE: one over CHAT_TEMPLATE_BYTES_MAX. ERR_FORMAT: it is no string. */
enum err chat_open(const struct gguf *g, const struct tokenizer *t, struct chat *out, struct fault *why) MUST_CHECK;

/* The conversation as segments. With `answer` the text ends where the model's answer begins.
 * Segments are the caller's array: chat_segments_max(n) of them always suffice. They borrow from *c and the messages.
 * ERR_ARG: no messages, more than CHAT_MESSAGES_MAX, or a system message that is not the first where the family has no
 * turn for it. ERR_FULL: too few segments. *count is set on OK only. */
enum err chat_render(const struct chat *c, const struct chat_message *messages, size_t n_messages, bool answer,
                     struct text_segment *out, size_t cap, size_t *count) MUST_CHECK;
size_t chat_segments_max(size_t n_messages);

/* Renders and tokenises, BOS included where the model expects one; appends to *out. Codes of chat_render() and
 * tokenizer_encode(). */
enum err chat_encode(const struct chat *c, const struct tokenizer *t, const struct chat_message *messages,
                     size_t n_messages, bool answer, struct token_list *out) MUST_CHECK;

#endif
