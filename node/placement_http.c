/* placement_http.c - the x-tally-... headers of a request: what it insists on beyond the node's own limits.
 *
 * A header can only tighten. One that is not understood, mistyped or given twice would be a constraint that nobody keeps, so
 * it is refused, and the refusal says what the header wants.
 */
#include "node/exchange_http.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool tighten(uint64_t *limit, const char *text, unsigned decimals)
{
    uint64_t v;
    if (decimal_parse(text, decimals, &v) != OK || v == 0)
        return false;                                  /* zero is "no limit" inside; nobody who sends it means that */
    if (*limit == 0 || v < *limit)
        *limit = v;
    return true;
}

static bool read_price_input(struct exchange *e, const char *text) { return tighten(&e->limits.price_input_max, text, 6); }
static bool read_price_output(struct exchange *e, const char *text) { return tighten(&e->limits.price_output_max, text, 6); }
static bool read_budget(struct exchange *e, const char *text) { return tighten(&e->limits.budget_pico, text, 12); }

static bool read_first_token(struct exchange *e, const char *text)
{
    uint64_t ms = e->limits.first_token_ms_max;
    if (!tighten(&ms, text, 0) || ms > UINT32_MAX)
        return false;
    e->limits.first_token_ms_max = (uint32_t)ms;
    return true;
}

static bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }

static bool read_jurisdiction(struct exchange *e, const char *text)
{
    for (size_t n = 0; n < ARRAY_COUNT(e->limits.jurisdictions); n++, text += 3) {
        if (!is_capital(text[0]) || !is_capital(text[1]))
            return false;
        memcpy(e->limits.jurisdictions[n], text, 2);
        if (text[2] != ',')
            return text[2] == 0;
    }
    return false;
}

static bool read_tier(struct exchange *e, const char *text)
{
    static const char *const tiers[] = { "edge", "regional", "factory" };
    for (unsigned i = 0; i < ARRAY_COUNT(tiers); i++)
        if (strcmp(text, tiers[i]) == 0) {
            e->limits.tiers = (uint8_t)(1u << i);
            return true;
        }
    return false;
}

static bool read_owner(struct exchange *e, const char *text)
{
    e->limits.has_owner = pubkey_parse(text, &e->limits.owner) == OK;
    return e->limits.has_owner;
}

static bool read_class(struct exchange *e, const char *text)
{
    e->class = strcmp(text, "batch") == 0 ? CLASS_BATCH : CLASS_INTERACTIVE;
    return e->class == CLASS_BATCH || strcmp(text, "interactive") == 0;
}

static bool read_local(struct exchange *e, const char *text)
{
    bool no = strcmp(text, "no") == 0;
    e->allow_local = e->allow_local && !no;
    return no || strcmp(text, "yes") == 0;
}

/* Checked for every request, before it gets here. */
static bool read_node(struct exchange *e, const char *text)
{
    (void)e;
    (void)text;
    return true;
}

static const struct wish {
    const char *name, *wants;
    bool (*read)(struct exchange *e, const char *text);
} wishes[] = {
    { "x-tally-max-price-input", "credits per million tokens, more than 0, at most six decimals: 0.05", read_price_input },
    { "x-tally-max-price-output", "credits per million tokens, more than 0, at most six decimals: 0.2", read_price_output },
    { "x-tally-budget", "credits for the whole request, more than 0, at most twelve decimals: 0.001", read_budget },
    { "x-tally-max-first-token-ms", "a whole number of milliseconds, more than 0", read_first_token },
    { "x-tally-jurisdiction", "one to eight countries as two capital letters, with commas between: DE or DE,FR", read_jurisdiction },
    { "x-tally-tier", "edge, regional or factory", read_tier },
    { "x-tally-owner", "an owner key as 64 hexadecimal digits", read_owner },
    { "x-tally-class", "interactive or batch", read_class },
    { "x-tally-local", "yes or no", read_local },
    { NODE_HEADER, "the id of the node that is meant", read_node },
};

struct reading {
    struct exchange *e;
    struct api_fault *fault;
    bool seen[ARRAY_COUNT(wishes)], failed;
};

static enum MHD_Result refuse(struct reading *r, const char *name, const char *text)
{
    *r->fault = (struct api_fault){ .status = 400, .type = "invalid_request_error", .code = "bad_header" };
    snprintf(r->fault->param, sizeof r->fault->param, "%.*s", (int)sizeof r->fault->param - 1, name);
    snprintf(r->fault->message, sizeof r->fault->message, "%.60s %s", name, text);
    r->failed = true;
    return MHD_NO;
}

static enum MHD_Result read_header(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct reading *r = ctx;
    char text[160];
    (void)kind;
    if (strncasecmp(name, "x-tally-", 8) != 0)
        return MHD_YES;
    for (size_t i = 0; i < ARRAY_COUNT(wishes); i++) {
        if (strcasecmp(name, wishes[i].name) != 0)
            continue;
        if (r->seen[i])
            return refuse(r, wishes[i].name, "is given twice");
        r->seen[i] = true;
        if (value && wishes[i].read(r->e, value))
            return MHD_YES;
        snprintf(text, sizeof text, "wants %s", wishes[i].wants);
        return refuse(r, wishes[i].name, text);
    }
    return refuse(r, name, "is no header that this node knows; docs/api.md lists them");
}

bool placement_read(struct exchange *e, struct api_fault *fault)
{
    struct reading r = { .e = e, .fault = fault };
    MHD_get_connection_values(e->connection, MHD_HEADER_KIND, read_header, &r);
    return !r.failed;
}
