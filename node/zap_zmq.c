/* zap_zmq.c - may this client key come in? libzmq asks over inproc (RFC 27); the loop answers in its own thread.
 *
 * Any well-formed key may, unless it is refused (muted), comes too often, or there is no room. The User-Id that we reply
 * with is the client key itself in hex: libzmq attaches it to every message of that connection, which binds each frame
 * to the key that CURVE proved. Until the loop answers, a handshake waits; an idle attacker costs it nothing.
 */
#include "node/transport_parts_zmq.h"

#include <string.h>

enum { ZAP_PARTS = 7, ZAP_PART_BYTES_MAX = 256 };

bool zap_open(struct transport *t)
{
    t->zap = zmq_socket(t->context, ZMQ_REP);
    int zero = 0;
    return t->zap && zmq_setsockopt(t->zap, ZMQ_LINGER, &zero, sizeof zero) == 0 &&
           zmq_bind(t->zap, "inproc://zeromq.zap.01") == 0;
}

struct zap_request {
    size_t count;                                          /* parts that came, kept or not */
    size_t len[ZAP_PARTS];
    uint8_t part[ZAP_PARTS][ZAP_PART_BYTES_MAX];           /* version, request id, domain, address, routing id, mechanism, key */
};

/* False when no request waits. */
static bool request_read(struct transport *t, struct zap_request *r)
{
    r->count = 0;
    for (int more = 1; more; r->count++) {
        uint8_t surplus[ZAP_PART_BYTES_MAX];
        bool keep = r->count < ZAP_PARTS;
        int n = zmq_recv(t->zap, keep ? r->part[r->count] : surplus, ZAP_PART_BYTES_MAX, ZMQ_DONTWAIT);
        if (n < 0)
            return false;
        if (keep)
            r->len[r->count] = n < ZAP_PART_BYTES_MAX ? (size_t)n : ZAP_PART_BYTES_MAX;   /* longer ones were cut */
        size_t size = sizeof more;
        zmq_getsockopt(t->zap, ZMQ_RCVMORE, &more, &size);
    }
    return true;
}

static bool part_is(const struct zap_request *r, size_t idx, const char *text)
{
    return r->len[idx] == strlen(text) && memcmp(r->part[idx], text, r->len[idx]) == 0;
}

static bool is_well_formed(const struct zap_request *r)
{
    return r->count == ZAP_PARTS && part_is(r, 0, "1.0") && part_is(r, 5, "CURVE") &&
           r->len[6] == SEAL_KEY_BYTES;
}

/* OK, or why not; counted. */
static enum err judge(struct transport *t, const struct zap_request *r, struct seal_key *key)
{
    if (!is_well_formed(r)) {
        t->counters.refused_malformed++;
        return ERR_FORMAT;
    }
    memcpy(key->b, r->part[6], sizeof key->b);
    if (t->counters.inbound_links >= t->limits.inbound_max) {
        t->counters.refused_full++;
        return ERR_FULL;
    }
    enum err e = admission_key(&t->admission, t->now, key);
    t->counters.refused_muted += e == ERR_KEY;
    t->counters.refused_key_rate += e == ERR_RATE;
    return e;
}

static void hex_of(const struct seal_key *key, char out[USER_ID_CHARS + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof key->b; i++) {
        out[2 * i] = digits[key->b[i] >> 4];
        out[2 * i + 1] = digits[key->b[i] & 15];
    }
    out[USER_ID_CHARS] = 0;
}

static void part_send(struct transport *t, const void *data, size_t len, int more)
{
    (void)zmq_send(t->zap, data, len, ZMQ_DONTWAIT | more);   /* a session that has gone meanwhile is no loss */
}

void zap_serve(struct transport *t)
{
    struct zap_request r;
    for (int i = 0; t->zap_readable && i < ZAP_REQUESTS_PER_TURN; i++) {
        if (!request_read(t, &r)) {
            t->zap_readable = false;
            return;
        }
        struct seal_key key;
        char user_id[USER_ID_CHARS + 1] = "";
        enum err e = judge(t, &r, &key);
        if (e == OK)
            hex_of(&key, user_id);
        part_send(t, "1.0", 3, ZMQ_SNDMORE);
        part_send(t, r.part[1], r.count > 1 ? r.len[1] : 0, ZMQ_SNDMORE);
        part_send(t, e == OK ? "200" : "400", 3, ZMQ_SNDMORE);
        part_send(t, "", 0, ZMQ_SNDMORE);
        part_send(t, user_id, strlen(user_id), ZMQ_SNDMORE);
        part_send(t, "", 0, 0);
    }
}
