/* amount.c - exact money: checked sums, and text with all twelve decimals. */
#include "ledger/amount.h"

#include <inttypes.h>
#include <stdio.h>

#define PICO_PER_CREDIT UINT64_C(1000000000000)
enum { PICO_DIGITS = 12 };

/* The compiler's builtin rather than a 128-bit product: the cores are built for 32 bits as well. */
static bool mul_add(uint64_t *sum, uint64_t count, uint64_t price)
{
    uint64_t product;
    return !__builtin_mul_overflow(count, price, &product) && !__builtin_add_overflow(*sum, product, sum);
}

enum err amount_cost(const struct tokens *t, const struct prices *p, struct pico *out)
{
    uint64_t sum = 0;
    if (!mul_add(&sum, t->in, p->in) || !mul_add(&sum, t->cached, p->cached) || !mul_add(&sum, t->out, p->out))
        return ERR_OVERFLOW;
    *out = (struct pico){ sum };
    return OK;
}

enum err amount_add(struct pico a, struct pico b, struct pico *out)
{
    uint64_t sum;
    if (__builtin_add_overflow(a.v, b.v, &sum))
        return ERR_OVERFLOW;
    *out = (struct pico){ sum };
    return OK;
}

enum err amount_sub(struct pico a, struct pico b, struct pico *out)
{
    if (b.v > a.v)
        return ERR_OVERFLOW;
    *out = (struct pico){ a.v - b.v };
    return OK;
}

void amount_format(struct pico a, char out[AMOUNT_CHARS_MAX + 1])
{
    snprintf(out, AMOUNT_CHARS_MAX + 1, "%" PRIu64 ".%012" PRIu64, a.v / PICO_PER_CREDIT, a.v % PICO_PER_CREDIT);
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Appends decimal digits from *p to *v until something else; false on overflow. */
static bool take_digits(const char **p, uint64_t *v, unsigned *count)
{
    for (*count = 0; is_digit(**p); (*p)++, (*count)++) {
        if (__builtin_mul_overflow(*v, UINT64_C(10), v) || __builtin_add_overflow(*v, (uint64_t)(**p - '0'), v))
            return false;
    }
    return true;
}

enum err amount_parse(const char *text, struct pico *out)
{
    uint64_t whole = 0, part = 0;
    unsigned whole_digits, part_digits = 0;
    const char *p = text;
    if (!take_digits(&p, &whole, &whole_digits))
        return ERR_OVERFLOW;
    if (whole_digits == 0)
        return ERR_FORMAT;
    if (*p == '.') {
        p++;
        if (!take_digits(&p, &part, &part_digits) || part_digits == 0 || part_digits > PICO_DIGITS)
            return ERR_FORMAT;
    }
    if (*p != '\0')
        return ERR_FORMAT;
    for (; part_digits < PICO_DIGITS; part_digits++)
        part *= 10;
    if (!mul_add(&part, whole, PICO_PER_CREDIT))
        return ERR_OVERFLOW;
    *out = (struct pico){ part };
    return OK;
}
