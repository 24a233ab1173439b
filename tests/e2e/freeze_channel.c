/* freeze_channel.c - the book of a stopped node as it is after its peer has shown another receipt under a number that has one.
 *
 *   freeze_channel OURS THEIRS: data folders of two nodes that have done business. Their key signs what they never did. */
#include <stdio.h>
#include <string.h>

#include "ledger/ledger.h"
#include "ledger/store_lmdb.h"
#include "node/identity_posix.h"

static int fail(const char *what, enum err e)
{
    fprintf(stderr, "freeze_channel: %s: %s\n", what, err_text(e));
    return 1;
}

static enum err identity_of(const char *folder, struct identity *out, struct identity_glance *glance)
{
    struct fault why;
    enum err e = identity_glance(folder, NULL, glance, &why);
    return e == OK ? identity_load(folder, &glance->net, NULL, NULL, out, &why) : e;
}

/* Another body under the newest number that both have, signed by the peer alone. */
static enum err show_another(struct ledger *l, const struct identity *liar)
{
    struct receipt_view v;
    struct signed_body out;
    struct bytes body;
    struct sig none = { { 0 } };
    uint64_t cursor = UINT64_MAX;
    enum err e = ledger_receipt_next(l, &cursor, &v);
    while (e == OK && !pubkey_equal(&v.peer, &liar->node_public))
        e = ledger_receipt_next(l, &cursor, &v);
    if (e != OK)
        return e;
    enum side role = v.role, theirs = role == SIDE_PROVIDER ? SIDE_REQUESTER : SIDE_PROVIDER;
    struct receipt r = v.receipt;
    r.cost.v++;
    r.owed.v++;
    e = receipt_encode(&r, out.buf, &body);
    if (e != OK)
        return e;
    receipt_sign(&liar->node, theirs, &l->net, body, &out.sig);
    e = ledger_receipt_adopt(l, role, &liar->node_public, body, theirs == SIDE_REQUESTER ? &out.sig : &none,
                             theirs == SIDE_PROVIDER ? &out.sig : &none, (struct wall){ 1 });
    return e == ERR_EQUIVOCATION ? OK : e == OK ? ERR_STATE : e;
}

int main(int argc, char **argv)
{
    static struct identity us, liar;
    struct identity_glance glance;
    struct ledger_recovery recovery;
    struct store *store;
    struct ledger l;
    char folder[512];
    if (argc != 3 || crypto_start() != OK)
        return fail("usage: freeze_channel OURS THEIRS", ERR_ARG);
    enum err e = identity_of(argv[2], &liar, &glance);
    if (e == OK)
        e = identity_of(argv[1], &us, &glance);
    if (e != OK)
        return fail("an identity", e);
    snprintf(folder, sizeof folder, "%s/ledger", argv[1]);
    e = store_lmdb_open(&(struct store_lmdb_config){ .folder = folder }, &store);
    if (e == OK)
        e = ledger_open(&l, store, &us.node, &us.node_public, &glance.net, (struct wall){ 1 }, &recovery);
    if (e == OK)
        e = show_another(&l, &liar);
    if (e == OK)
        e = store_commit(store);
    if (e != OK)
        return fail(argv[1], e);
    store_close(store);
    return 0;
}
