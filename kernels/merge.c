/* merge.c - best pair first, in n log n. */
#include "kernels/merge.h"

#include <stdlib.h>

enum { SMALL_WORD = 1 << 16 };   /* room is made for the next, longer one too; what is larger needs enough as it is */

void merge_init(struct merge *m) { *m = (struct merge){ 0 }; }

void merge_fini(struct merge *m)
{
    free(m->heap);
    free(m->symbols);
    merge_init(m);
}

enum err merge_begin(struct merge *m, size_t n_max)
{
    m->n_symbols = m->n_heap = 0;
    if (n_max <= m->cap_symbols)
        return OK;
    /* At most n - 1 candidates at first; each merge removes one and adds at most two. */
    size_t cap = n_max + (n_max < SMALL_WORD ? n_max / 2 + 64 : 0);
    free(m->symbols);
    free(m->heap);
    m->symbols = malloc(cap * sizeof *m->symbols);
    m->heap = malloc(2 * cap * sizeof *m->heap);
    m->cap_symbols = m->symbols && m->heap ? cap : 0;
    m->cap_heap = 2 * m->cap_symbols;
    return m->cap_symbols ? OK : ERR_MEMORY;
}

void merge_add(struct merge *m, uint32_t start, uint32_t len, uint32_t id)
{
    ENSURE(m->n_symbols < m->cap_symbols);
    uint32_t idx = (uint32_t)m->n_symbols;
    if (idx > 0)
        m->symbols[idx - 1].next = idx;
    m->symbols[m->n_symbols++] = (struct merge_symbol){
        .start = start, .len = len, .prev = idx > 0 ? idx - 1 : MERGE_NONE, .next = MERGE_NONE, .id = id
    };
}

static bool is_before(const struct merge_candidate *a, const struct merge_candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->left < b->left;
}

static void push(struct merge *m, struct merge_candidate c)
{
    ENSURE(m->n_heap < m->cap_heap);
    size_t at = m->n_heap++;
    while (at > 0 && is_before(&c, &m->heap[(at - 1) / 2])) {
        m->heap[at] = m->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    m->heap[at] = c;
}

static struct merge_candidate pop(struct merge *m)
{
    struct merge_candidate best = m->heap[0], last = m->heap[--m->n_heap];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= m->n_heap)
            break;
        if (child + 1 < m->n_heap && is_before(&m->heap[child + 1], &m->heap[child]))
            child++;
        if (!is_before(&m->heap[child], &last))
            break;
        m->heap[at] = m->heap[child];
        at = child;
    }
    m->heap[at] = last;
    return best;
}

static void consider(struct merge *m, uint32_t left, uint32_t right, const void *rules, merge_find *find)
{
    if (left == MERGE_NONE || right == MERGE_NONE)
        return;
    struct merge_candidate c = { .left = left, .right = right, .len = m->symbols[left].len + m->symbols[right].len };
    if (find(rules, &m->symbols[left], &m->symbols[right], &c.rank, &c.id))
        push(m, c);
}

static bool is_stale(const struct merge *m, const struct merge_candidate *c)
{
    const struct merge_symbol *left = &m->symbols[c->left], *right = &m->symbols[c->right];
    return left->len == 0 || right->len == 0 || left->len + right->len != c->len;
}

void merge_run(struct merge *m, const void *rules, merge_find *find)
{
    for (uint32_t i = 1; i < m->n_symbols; i++)
        consider(m, i - 1, i, rules, find);
    while (m->n_heap > 0) {
        struct merge_candidate c = pop(m);
        if (is_stale(m, &c))
            continue;
        struct merge_symbol *left = &m->symbols[c.left], *right = &m->symbols[c.right];
        left->len = c.len;
        left->id = c.id;
        left->next = right->next;
        right->len = 0;
        if (left->next != MERGE_NONE)
            m->symbols[left->next].prev = c.left;
        consider(m, left->prev, c.left, rules, find);
        consider(m, c.left, left->next, rules, find);
    }
}
