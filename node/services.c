/* services.c - small verbs over what the agent's machines share. */
#include "node/services.h"

#include <string.h>

void services_seed(struct services *s, struct key_seed *out)
{
    struct hasher h;
    struct hash seed;
    hasher_init(&h, "one-time");
    hasher_add(&h, bytes_of(s->entropy.b, sizeof s->entropy.b));
    hasher_add_u64(&h, s->seeds_drawn++);
    hasher_finish(&h, &seed);
    _Static_assert(sizeof out->b == sizeof seed.b, "one hash is one seed");
    memcpy(out->b, seed.b, sizeof out->b);
}

struct run_id services_run(struct services *s) { return (struct run_id){ ++s->runs_started }; }

bool services_send(struct services *s, const struct node_id *node, enum message_type type, struct bytes body)
{
    if (overlay_send(s->overlay, s->now, node, type, 0, body) == OK)
        return true;
    s->sends_failed++;
    return false;
}

bool services_peer_key(const struct services *s, const struct node_id *node, struct pubkey *out)
{
    struct overlay_peer peer;
    if (!overlay_peer_find(s->overlay, node, &peer))
        return false;
    *out = peer.record->key;
    return true;
}

const struct pubkey *services_peer_owner(const struct services *s, const struct node_id *node)
{
    struct overlay_peer peer;
    if (!overlay_peer_find(s->overlay, node, &peer) || !peer.record->has_cert || peer.record->cert.not_after_s < s->wall.ms / 1000)
        return NULL;
    return &peer.record->cert.owner;
}

static void keep_cert(struct services *s, const struct cert *c)
{
    enum err e = c ? ledger_cert_keep(s->ledger, c) : OK;
    if (e)
        effects_log(s->out, LOG_WARN, "cert.lost", "%s", err_text(e));
}

void services_keep_certs(struct services *s, const struct node_id *node)
{
    struct overlay_peer peer;
    keep_cert(s, s->config.overlay.cert);
    if (overlay_peer_find(s->overlay, node, &peer) && peer.record->has_cert)
        keep_cert(s, &peer.record->cert);
}

uint32_t services_rtt_us(const struct services *s, const struct node_id *node)
{
    struct overlay_peer peer;
    return overlay_peer_find(s->overlay, node, &peer) ? peer.rtt_us : 0;
}

struct short_name short_name(const struct hash *h)
{
    char hex[HASH_HEX_CHARS + 1];
    struct short_name n;
    hash_format(h, hex);
    memcpy(n.text, hex, sizeof n.text - 1);
    n.text[sizeof n.text - 1] = 0;
    return n;
}
