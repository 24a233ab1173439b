/* special.c - control and user-defined tokens in text. */
#include "kernels/special.h"

#include "kernels/tokenizer.h"

/* Of all texts together; the largest vocabularies have some 100 KB. Each byte may be an edge of its own, 40 bytes large. */
enum { BYTES_MAX = 512 * 1024 };

static bool is_special(const struct vocab *v, uint32_t id)
{
    if (v->kinds[id] != TOKEN_CONTROL && v->kinds[id] != TOKEN_USER_DEFINED)
        return false;
    size_t len = vocab_bytes(v, id).len;
    return len > 0 && len <= TOKENIZER_SPECIAL_BYTES_MAX;
}

/* Adds one text; `token` is written to its last edge. Of two equal texts the first counts. */
static enum err add(struct special *s, struct bytes text, uint32_t token)
{
    uint32_t node = 0;
    for (size_t i = 0; i < text.len; i++) {
        enum err e = pairs_put(&s->edges, node, text.data[i], s->n_nodes + 1, VOCAB_NONE);
        if (e != OK && e != ERR_EXISTS)
            return e;
        s->n_nodes += e == OK;
        /* The table is ours until init returns, so its slot may be completed in place. */
        struct pair_slot *edge = (struct pair_slot *)(uintptr_t)pairs_find(&s->edges, node, text.data[i]);
        if (i + 1 == text.len && edge->y == VOCAB_NONE)
            edge->y = token;
        node = edge->x;
    }
    s->starts[text.data[0]] = true;
    return OK;
}

enum err special_init(struct special *s, const struct vocab *v, struct fault *why)
{
    size_t total = 0;
    *s = (struct special){ .n_nodes = 0 };
    for (uint32_t id = 0; id < v->n; id++)
        total += is_special(v, id) ? vocab_bytes(v, id).len : 0;
    if (total > BYTES_MAX)
        return fault_set(why, ERR_TOO_LARGE, "control and user-defined tokens have %zu bytes together", total);
    enum err e = pairs_init(&s->edges, total);
    for (uint32_t id = 0; id < v->n && e == OK; id++)
        if (is_special(v, id))
            e = add(s, vocab_bytes(v, id), id);
    return e == OK ? OK : fault_set(why, e, "the control tokens could not be indexed: %s", err_text(e));
}

void special_fini(struct special *s) { pairs_fini(&s->edges); }

uint32_t special_match(const struct special *s, const struct vocab *v, struct bytes text, size_t control_len, size_t *len)
{
    uint32_t best = VOCAB_NONE, node = 0;
    if (text.len == 0 || !s->starts[text.data[0]])
        return VOCAB_NONE;
    for (size_t i = 0; i < text.len; i++) {
        const struct pair_slot *edge = pairs_find(&s->edges, node, text.data[i]);
        if (!edge)
            break;
        if (edge->y != VOCAB_NONE && (v->kinds[edge->y] == TOKEN_USER_DEFINED || i + 1 <= control_len)) {
            best = edge->y;
            *len = i + 1;
        }
        node = edge->x;
    }
    return best;
}

uint32_t special_find_control(const struct special *s, const struct vocab *v, struct bytes text)
{
    size_t len = 0;
    uint32_t id = special_match(s, v, text, text.len, &len);
    return id != VOCAB_NONE && len == text.len && v->kinds[id] == TOKEN_CONTROL ? id : VOCAB_NONE;
}
