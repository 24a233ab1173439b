/* ledger_cert.c - who stands behind a node key? The certificate last seen for it, kept for the bundles of its jobs.
 *
 * One per key, not one per job: a certificate says until when it holds and not since when, so a newer one covers older terms.
 */
#include "ledger/book.h"

enum err ledger_cert_find(struct ledger *l, const struct pubkey *node, struct cert *out)
{
    struct book_key k = book_key_peer(node);
    struct bytes value;
    enum err e = store_get(l->store, STORE_CERT, book_key_view(&k), &value);
    if (e != OK)
        return e;
    struct reader r;
    struct cert c;
    reader_init(&r, value);
    cert_read(&r, &c);
    if (reader_finish(&r) != OK || !pubkey_equal(&c.node, node))
        return ERR_CORRUPT;
    *out = c;
    return OK;
}

enum err ledger_cert_keep(struct ledger *l, const struct cert *c)
{
    struct book_key k = book_key_peer(&c->node);
    uint8_t buf[CERT_BYTES_MAX];
    struct writer w;
    struct bytes value, kept;
    writer_init(&w, buf, sizeof buf);
    cert_write(&w, c);
    ENSURE(writer_finish(&w, &value) == OK);               /* every field has a fixed largest size */
    enum err e = store_get(l->store, STORE_CERT, book_key_view(&k), &kept);
    if (e == OK && bytes_equal(kept, value))
        return OK;
    return e == OK || e == ERR_NOT_FOUND ? store_put(l->store, STORE_CERT, book_key_view(&k), value) : e;
}
