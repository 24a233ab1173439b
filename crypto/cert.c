/* cert.c - an owner certifies a node key (PROTO 2.6). */
#include "crypto/cert.h"

enum { CERT_VERSION = 1, CERT_BODY_BYTES_MAX = CERT_BYTES_MAX - SIG_BYTES };

/* The four fields both the signature and the encoding begin with, without the array head that differs. */
static void write_fields(struct writer *w, const struct cert *c)
{
    write_uint(w, CERT_VERSION);
    write_pubkey(w, &c->node);
    write_uint(w, c->not_after_s);
    write_pubkey(w, &c->owner);
}

struct body {
    uint8_t buf[CERT_BODY_BYTES_MAX];
    struct bytes view;
};

static void body_init(struct body *b, const struct cert *c)
{
    struct writer w;
    writer_init(&w, b->buf, sizeof b->buf);
    write_array(&w, 4);
    write_fields(&w, c);
    ENSURE(writer_finish(&w, &b->view) == OK);                 /* every field has a fixed largest size */
}

void cert_issue(const struct secret_key *owner, const struct net_id *net, const struct pubkey *node, uint64_t not_after_s,
                struct cert *out)
{
    struct body body;
    *out = (struct cert){ .node = *node, .not_after_s = not_after_s };
    key_public(owner, &out->owner);
    body_init(&body, out);
    key_sign(owner, PURPOSE_CERT, net, body.view, &out->owner_sig);
}

void cert_write(struct writer *w, const struct cert *c)
{
    write_array(w, 5);
    write_fields(w, c);
    write_sig(w, &c->owner_sig);
}

void cert_read(struct reader *r, struct cert *out)
{
    read_array(r, 5);
    read_version(r, CERT_VERSION);
    read_pubkey(r, &out->node);
    out->not_after_s = read_uint(r, UINT64_MAX);
    read_pubkey(r, &out->owner);
    read_sig(r, &out->owner_sig);
}

enum err cert_verify(const struct cert *c, const struct net_id *net, const struct pubkey *node, struct wall now)
{
    struct body body;
    if (!pubkey_equal(&c->node, node))                         /* the cheap refusals first */
        return ERR_CERT;
    if (now.ms / 1000 > c->not_after_s)
        return ERR_EXPIRED;
    body_init(&body, c);
    return key_verify(&c->owner, PURPOSE_CERT, net, body.view, &c->owner_sig);
}
