/* pretoken_pcre2.c - the splitting patterns, run by PCRE2.
 *
 * The patterns are those that the models were trained with, except that white space is written out: PCRE2's own \s
 * knows one character (U+180E) that Unicode's White_Space does not.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "kernels/pretoken.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/utf8.h"

#define SPACES "\\t-\\r\\x{85}\\p{Z}"   /* inside a class: what \s means in Unicode */

#define GPT2                                                                                        \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" SPACES "\\p{L}\\p{N}]+|[" SPACES "]+(?![^" SPACES "])|[" SPACES "]+"

#define LETTERS_NUMBERS(digits)                                                                                        \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^" SPACES "\\p{L}\\p{N}]+[\\r\\n]*|"         \
    "[" SPACES "]*[\\r\\n]+|[" SPACES "]+(?![^" SPACES "])|[" SPACES "]+"

enum { STAGES_MAX = 4 };

static const struct pre_type {
    const char *names[8];
    const char *stages[STAGES_MAX];
    bool whole_words, adds_bos;
} pre_types[] = {
    { { "llama-bpe", "llama3", "llama-v3", "falcon3" }, { LETTERS_NUMBERS("\\p{N}{1,3}") }, true, true },
    { { "qwen2", "deepseek-r1-qwen" }, { LETTERS_NUMBERS("\\p{N}") }, false, false },
    { { "gpt-2", "phi-2", "olmo", "mpt" }, { GPT2 }, false, false },
    { { "smollm", "starcoder", "refact", "command-r" }, { "\\p{N}", GPT2 }, false, false },
    { { "default", "" }, { "[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]" }, false, false },
};

struct pretoken {
    const struct pre_type *type;
    pcre2_code *stages[STAGES_MAX];
    int n_stages;
};

static const struct pre_type *find_type(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_COUNT(pre_types); i++)
        for (size_t j = 0; j < ARRAY_COUNT(pre_types[i].names) && pre_types[i].names[j]; j++)
            if (bytes_equal(name, bytes_text(pre_types[i].names[j])))
                return &pre_types[i];
    return NULL;
}

static enum err compile(struct pretoken *p)
{
    for (int i = 0; i < STAGES_MAX && p->type->stages[i]; i++) {
        int code;
        PCRE2_SIZE at;
        p->stages[i] = pcre2_compile((PCRE2_SPTR)p->type->stages[i], PCRE2_ZERO_TERMINATED, PCRE2_UTF, &code, &at, NULL);
        if (!p->stages[i])
            return ERR_MEMORY;   /* the patterns are constants that the tests compile: nothing else can fail */
        (void)pcre2_jit_compile(p->stages[i], PCRE2_JIT_COMPLETE);   /* without it the interpreter runs */
        p->n_stages = i + 1;
    }
    return OK;
}

enum err pretoken_open(struct bytes name, struct pretoken **out, struct fault *why)
{
    const struct pre_type *type = find_type(name);
    if (!type)
        return fault_set(why, ERR_UNSUPPORTED, "the tokenizer's splitting pattern '%s' is not known to this version",
                         fault_name(name).text);
    struct pretoken *p = calloc(1, sizeof *p);
    if (!p)
        return fault_set(why, ERR_MEMORY, "out of memory while opening the tokenizer");
    p->type = type;
    enum err e = compile(p);
    if (e != OK) {
        pretoken_close(p);
        return fault_set(why, e, "out of memory while compiling the splitting pattern");
    }
    *out = p;
    return OK;
}

void pretoken_close(struct pretoken *p)
{
    if (!p)
        return;
    for (int i = 0; i < STAGES_MAX; i++)
        pcre2_code_free(p->stages[i]);
    free(p);
}

bool pretoken_takes_whole_words(const struct pretoken *p) { return p->type->whole_words; }
bool pretoken_adds_bos(const struct pretoken *p) { return p->type->adds_bos; }

/* One splitting: the arguments that do not change on the way down the stages. */
struct split {
    const struct pretoken *p;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    void *ctx;
    pretoken_word *word;
};

/* The next match at or after `from`: OK and its range, ERR_NOT_FOUND, or why matching failed. */
static enum err next_match(const struct split *s, int stage, struct bytes text, size_t from, size_t *start, size_t *end)
{
    const pcre2_code *code = s->p->stages[stage];
    uint32_t options = PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY;
    int rc = pcre2_match(code, text.data, text.len, from, options, s->match, s->limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(code, text.data, text.len, from, options | PCRE2_NO_JIT, s->match, s->limits);
    if (rc == PCRE2_ERROR_NOMATCH)
        return ERR_NOT_FOUND;
    if (rc < 0)
        return rc == PCRE2_ERROR_NOMEMORY ? ERR_MEMORY : ERR_TOO_LARGE;
    const PCRE2_SIZE *range = pcre2_get_ovector_pointer(s->match);
    *start = range[0];
    *end = range[1];
    return OK;
}

static enum err split_stage(const struct split *s, int stage, struct bytes text)
{
    if (stage == s->p->n_stages)
        return s->word(s->ctx, text);
    size_t at = 0;
    while (at < text.len) {
        size_t start = text.len, end = text.len;
        enum err e = next_match(s, stage, text, at, &start, &end);
        if (e != OK && e != ERR_NOT_FOUND)
            return e;
        if (start > at && (e = split_stage(s, stage + 1, bytes_of(text.data + at, start - at))) != OK)
            return e;
        if (end > start && (e = split_stage(s, stage + 1, bytes_of(text.data + start, end - start))) != OK)
            return e;
        at = end;
    }
    return OK;
}

/* Length of the run at the front that is UTF-8 throughout, or that is nowhere. */
static size_t run_len(struct bytes text, bool *is_utf8)
{
    size_t at = 0;
    while (at < text.len) {
        int n = utf8_step(text.data + at, text.len - at);
        if (at == 0)
            *is_utf8 = n > 0;
        else if ((n > 0) != *is_utf8)
            break;
        at += n > 0 ? (size_t)n : n < 0 ? (size_t)-n : text.len - at;
    }
    return at;
}

static enum err split_runs(const struct split *s, struct bytes text)
{
    while (text.len > 0) {
        bool is_utf8 = false;
        size_t len = run_len(text, &is_utf8);
        enum err e = split_stage(s, is_utf8 ? 0 : s->p->n_stages, bytes_of(text.data, len));
        if (e != OK)
            return e;
        text = bytes_of(text.data + len, text.len - len);
    }
    return OK;
}

enum err pretoken_split(const struct pretoken *p, struct bytes text, void *ctx, pretoken_word *word)
{
    struct split s = { .p = p,
                       .match = pcre2_match_data_create(1, NULL),
                       .limits = pcre2_match_context_create(NULL),
                       .ctx = ctx,
                       .word = word };
    enum err e = ERR_MEMORY;
    if (s.match && s.limits) {
        /* A run of n spaces costs about 4n steps; anything far beyond that is a pattern gone wrong. */
        uint32_t limit = text.len > 16u << 20 ? UINT32_MAX : 100000u + 64u * (uint32_t)text.len;
        (void)pcre2_set_match_limit(s.limits, limit);
        e = split_runs(&s, text);
    }
    pcre2_match_context_free(s.limits);
    pcre2_match_data_free(s.match);
    return e;
}
