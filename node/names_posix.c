/* names_posix.c - which model does somebody mean by a name?
 *
 *   a model id in hex          that model
 *   NAME@IDPREFIX              the model of that name whose id begins like this
 *   NAME                       one that this node serves itself under that name; else the model to which the name is pinned; else what
 *                              most nodes offer under it, and the name is pinned to that from then on
 *
 * Anybody may advertise under any name. Without the pin a majority, real or pretended, could exchange the model behind a name that
 * clients have come to rely on; with it they are told.
 */
#include <stdio.h>
#include <string.h>

#include "node/api_jansson.h"
#include "node/node_posix.h"
#include "node/values_jansson.h"

bool node_name_matches(const char *asked, const char *name, const struct hash *id)
{
    char hex[HASH_HEX_CHARS + 1];
    hash_format(id, hex);
    const char *at = strchr(asked, '@');
    if (at)
        return strlen(name) == (size_t)(at - asked) && strncmp(asked, name, (size_t)(at - asked)) == 0 &&
               at[1] && strncmp(hex, at + 1, strlen(at + 1)) == 0;
    return strcmp(asked, name) == 0 || strcmp(asked, hex) == 0;
}

/* A name that leaves open which model it means. */
static bool is_open(const char *asked)
{
    struct hash id;
    return !strchr(asked, '@') && hash_parse(asked, &id) != OK;
}

/* Among models of that name the one most nodes serve; ties go to the smaller id, so every node means the same. */
static bool find_advertised(struct node *n, const char *asked, struct hash *out)
{
    static struct advert a;                            /* large; the loop is one thread */
    size_t cursor = 0;
    uint32_t best = 0, count = 0;
    struct hash current = { { 0 } };
    while (overlay_advert_each(agent_overlay(n->agent), mono_now(), &cursor, &a)) {
        if (!node_name_matches(asked, a.model_name, &a.model))
            continue;
        count = count && hash_equal(&current, &a.model) ? count + 1 : 1;
        current = a.model;
        if (count > best) {
            best = count;
            *out = current;
        }
    }
    return best > 0;
}

static bool is_pinned(struct node *n, const char *asked, struct pin *out)
{
    return is_open(asked) && ledger_pin_find(agent_ledger(n->agent), asked, out) == OK;
}

bool node_find_offered(struct node *n, const char *asked, struct hash *out)
{
    struct pin p;
    char id[HASH_HEX_CHARS + 1];
    if (!is_pinned(n, asked, &p))
        return find_advertised(n, asked, out);
    hash_format(&p.model, id);
    return find_advertised(n, id, out);                /* under whatever name */
}

enum err node_pin(struct node *n, const char *asked, const struct hash *model, char why[NODE_WHY_CHARS])
{
    enum err e = is_open(asked) ? ledger_pin(agent_ledger(n->agent), asked, model, wall_now()) : OK;
    if (e == ERR_FULL)
        snprintf(why, NODE_WHY_CHARS, "%d names are pinned already; see `tally pins`, or ask for NAME@ID", PINS_MAX);
    else if (e != OK)
        snprintf(why, NODE_WHY_CHARS, "the name could not be pinned: %s", err_text(e));
    return e;
}

/* ---- names that nobody offers ---- */

enum { NAMES_SHOWN = 5, NAMES_CHARS = 120 };           /* with the name asked for they fit into an error's message */

/* Some names of what is offered, with commas; how many models more there are. */
static uint32_t list_names(struct node *n, char out[NAMES_CHARS + 1])
{
    static struct advert a;                            /* large; the loop is one thread */
    char shown[NAMES_SHOWN][MODEL_NAME_CHARS_MAX + 1];
    struct hash last = { { 0 } };
    uint32_t count = 0, more = 0, i;
    size_t len = 0;
    out[0] = 0;
    for (size_t cursor = 0; overlay_advert_each(agent_overlay(n->agent), mono_now(), &cursor, &a); last = a.model) {
        for (i = 0; i < count && strcmp(shown[i], a.model_name) != 0; i++)
            ;
        if (i < count || hash_equal(&last, &a.model))
            continue;
        if (count == NAMES_SHOWN || len + strlen(a.model_name) + 2 > NAMES_CHARS) {
            more++;
            continue;
        }
        memcpy(shown[count], a.model_name, sizeof shown[count]);
        len += (size_t)snprintf(out + len, NAMES_CHARS + 1 - len, "%s%s", count ? ", " : "", a.model_name);
        count++;
    }
    return more;
}

/* A name that is offered, and means another model than it did when it was first used here. */
static bool say_changed(struct node *n, const char *asked, char out[NODE_WHY_CHARS])
{
    char was[HASH_HEX_CHARS + 1], is[HASH_HEX_CHARS + 1];
    struct hash model;
    struct pin p;
    if (!is_pinned(n, asked, &p) || !find_advertised(n, asked, &model) || hash_equal(&p.model, &model))
        return false;
    hash_format(&p.model, was);
    hash_format(&model, is);
    snprintf(out, NODE_WHY_CHARS, "\"%.40s\" means model %.12s here since its first use, and in reach is only %.12s: ask for %.40s@%.12s, "
             "or forget the old one (tally pins)", asked, was, is, asked, is);
    return true;
}

/* One of our own that is served no more. */
static bool say_failed(const struct node *n, const char *asked, char out[NODE_WHY_CHARS])
{
    for (uint32_t i = 0; i < n->model_count; i++) {
        const struct node_model *m = &n->models[i];
        if (!m->failed[0] || !node_name_matches(asked, m->entry->name, &m->entry->id))
            continue;
        snprintf(out, NODE_WHY_CHARS, "this node does not serve \"%.64s\": %.190s; no other node in reach offers it", asked, m->failed);
        return true;
    }
    return false;
}

enum err node_say_not_offered(struct node *n, const char *asked, char out[NODE_WHY_CHARS])
{
    char list[NAMES_CHARS + 1], rest[32] = "";
    if (say_failed(n, asked, out))
        return ERR_NO_PROVIDER;
    if (say_changed(n, asked, out))
        return ERR_PINNED;
    uint32_t more = list_names(n, list);
    if (more)
        snprintf(rest, sizeof rest, " and %u more", more);
    snprintf(out, NODE_WHY_CHARS, "no node in reach offers \"%.64s\"; %s%s%s", asked, list[0] ? "offered: " : "nothing is offered", list, rest);
    return ERR_NO_PROVIDER;
}

/* ---- what people see of pins ---- */

static char *dump(json_t *j)
{
    char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
    json_decref(j);
    return text;
}

char *node_pins_json(struct node *n)
{
    struct pin p = { .name = "" };
    json_t *list = json_array();
    while (ledger_pin_next(agent_ledger(n->agent), &p) == OK)
        json_array_append_new(list, json_pack("{s:s, s:o, s:I}", "name", p.name, "model_id", hash_json(&p.model), "since_ms", (json_int_t)p.since.ms));
    return dump(json_pack("{s:o}", "pins", list));
}

char *node_unpin_json(struct node *n, const char *asked, unsigned *status)
{
    struct api_fault f;
    struct pin p;
    enum err e = ledger_pin_find(agent_ledger(n->agent), asked, &p);
    if (e == OK)
        e = ledger_unpin(agent_ledger(n->agent), asked);
    if (e == OK)
        return dump(json_pack("{s:s, s:o}", "forgotten", p.name, "model_id", hash_json(&p.model)));
    api_fault_of(e, e == ERR_NOT_FOUND ? "no such name is pinned" : "", &f);
    *status = f.status;
    if (e == ERR_NOT_FOUND)
        f.code = "not_pinned";
    return api_error_json(&f);
}
