/* fuzz_overlay.c - a live overlay with proved peers, a stranger, a dial half made and walks under way is told anything in
 * any order. No ENSURE may fail, no bound be passed.
 *
 * Input: steps of [what u8] [arg u8] [length u16, big endian] [bytes]. what & 7 chooses the step, what >> 3 & 7 the link.
 */
#include <stdlib.h>
#include <string.h>

#include "dht/overlay_state.h"
#include "tests/dht/vectors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINKS = 8, STEPS_MAX = 64, WHO_MAX = 4 };
enum { LINK_PEER_A, LINK_PEER_B, LINK_PEER_OUT, LINK_GREETING, LINK_UNKNOWN_IN, LINK_UNKNOWN_OUT, LINK_LAST_DIAL, LINK_STRANGER };

struct world {
    struct overlay *o;
    struct mono now;
    struct link links[LINKS];
    struct seal_key from[LINKS];
    uint64_t request[LINKS];                               /* last question that went out on it */
};

static struct overlay *prepared;
static struct world start;
static struct secret_key self_key;

static void drain(struct world *w)
{
    struct overlay_effect e;
    struct frame f;
    while (overlay_next(w->o, &e)) {
        if (e.kind == OVERLAY_DIAL) {
            w->links[LINK_LAST_DIAL] = e.link;
            w->from[LINK_LAST_DIAL] = e.at->transport;
        }
        if (e.kind != OVERLAY_SEND)
            continue;
        enum err d = frame_decode(e.bytes, &f);
        ENSURE(d == OK);                                       /* we say nothing that we would refuse */
        for (size_t i = 0; i < LINKS; i++)
            if (w->links[i].id == e.link.id && f.request != 0)
                w->request[i] = f.request;
    }
}

static void event(struct world *w, enum overlay_event_kind kind, size_t link, struct bytes frame)
{
    overlay_handle(w->o, w->now, VECTOR_WALL,
                   &(struct overlay_event){ .kind = kind, .link = w->links[link], .from = w->from[link], .frame = frame });
    drain(w);
}

static void say(struct world *w, size_t link, struct frame f)
{
    static uint8_t buf[FRAME_BYTES_MAX];
    struct bytes encoded;
    if (frame_encode(&f, buf, sizeof buf, &encoded) == OK)
        event(w, OVERLAY_FRAME, link, encoded);
}

static struct node_record record_by(uint8_t fill, struct secret_key *key)
{
    struct node_record r = vector_record(false);
    vector_key(fill, key);
    key_public(key, &r.key);
    memset(r.at.transport.b, fill, SEAL_KEY_BYTES);
    record_sign(key, &r);
    return r;
}

static void greet(struct world *w, size_t link, uint8_t fill, enum message_type type)
{
    uint8_t body[1024];
    struct secret_key key;
    struct writer out;
    struct frame f = { .type = type };
    struct node_record r = record_by(fill, &key);
    w->from[link] = r.at.transport;
    writer_init(&out, body, sizeof body);
    msg_hello_write(&out, &key, &r, (struct hello_ends){ &r.at.transport, &w->o->own.at.transport });
    enum err e = writer_finish(&out, &f.body);
    ENSURE(e == OK);
    say(w, link, f);
}

static void open_link(struct world *w, size_t link, uint8_t fill)
{
    struct secret_key key;
    struct node_record r = record_by(fill, &key);
    enum err e = overlay_open(w->o, w->now, VECTOR_WALL, &r);
    ENSURE(e == OK);
    drain(w);
    w->links[link] = w->links[LINK_LAST_DIAL];
    w->from[link] = r.at.transport;
    event(w, OVERLAY_LINK_UP, link, bytes_of(NULL, 0));
}

static void prepare(void)
{
    struct world *w = &start;
    vector_key(9, &self_key);
    struct overlay_config cfg = { .net = vector_net(), .key = &self_key, .dialable = true, .rng_seed = 1,
                                  .at = { .host = "self.example", .port = 1, .transport = { { 4, 4, 4 } } } };
    memset(cfg.at.transport.b, 4, SEAL_KEY_BYTES);             /* the listener of the golden HELLO */
    ENSURE(crypto_start() == OK);
    w->o = malloc(overlay_bytes());
    prepared = malloc(overlay_bytes());
    w->now = (struct mono){ 5000000 };
    enum err e = overlay_init(w->o, w->now, VECTOR_WALL, &cfg);
    ENSURE(e == OK);
    drain(w);
    for (size_t i = 0; i < LINKS; i++)
        w->links[i] = (struct link){ i == LINK_UNKNOWN_OUT ? 4000000 : LINK_INBOUND_BIT | (i + 1) };
    greet(w, LINK_PEER_A, 1, MSG_HELLO);
    greet(w, LINK_PEER_B, 21, MSG_HELLO);
    memset(w->from[LINK_UNKNOWN_IN].b, 3, SEAL_KEY_BYTES);     /* the speaker of the golden HELLO */
    open_link(w, LINK_PEER_OUT, 22);
    greet(w, LINK_PEER_OUT, 22, MSG_HELLO_OK);
    open_link(w, LINK_GREETING, 23);
    event(w, OVERLAY_TICK, 0, bytes_of(NULL, 0));
    ENSURE(overlay_peer_count(w->o) == 3);
    for (int with_cert = 0; with_cert < 2; with_cert++) {      /* verified once here, not once per mutation */
        struct node_record golden = vector_record(with_cert);
        e = overlay_verify(w->o, &golden);
        ENSURE(e == OK);
    }
    memcpy(prepared, w->o, overlay_bytes());
}

/* Back to the prepared state; bytes of the arena and outbox that nothing refers to are left as they are. */
static void restore(struct overlay *o)
{
    size_t head = offsetof(struct overlay, store) + offsetof(struct store, arena) + prepared->store.arena_used;
    size_t tail = offsetof(struct overlay, gossip), end = offsetof(struct overlay, out) + offsetof(struct outbox, effects);
    memcpy(o, prepared, head);
    memcpy((uint8_t *)o + tail, (const uint8_t *)prepared + tail, end - tail);
}

static void use_verb(struct world *w, uint8_t arg, struct bytes bytes)
{
    struct hash h = { { arg } };
    struct node_id id = w->o->peers.slots[arg % 4].id;
    struct node_record r = vector_record(arg & 8);
    struct advert a = vector_advert();
    enum err e = OK;
    switch (arg % 8) {
    case 0: e = overlay_publish(w->o, w->now, &h, bytes); break;
    case 1: e = overlay_find_providers(w->o, w->now, &h); break;
    case 2: e = overlay_find_node(w->o, w->now, &(struct node_id){ h }); break;
    case 3: e = overlay_open(w->o, w->now, VECTOR_WALL, &r); break;
    case 4: e = overlay_advertise(w->o, w->now, VECTOR_WALL, &a); break;
    case 5: e = overlay_withdraw(w->o, w->now, VECTOR_WALL, &a.model); break;
    case 6: e = overlay_send(w->o, w->now, &id, MSG_OFFER, 1, bytes); break;
    case 7: overlay_offence(w->o, w->now, &id, MSG_OFFER, ERR_STATE); break;
    }
    ENSURE(e < ERR_COUNT);
    drain(w);
}

static void step(struct world *w, uint8_t what, uint8_t arg, struct bytes bytes)
{
    static const uint32_t types[] = {
#define X(name, number, text, body_max) number,
        MESSAGE_TABLE(X)
#undef X
    };
    size_t link = what >> 3 & 7;
    switch (what & 7) {
    case 0: event(w, OVERLAY_FRAME, link, bytes); break;
    case 1: say(w, link, (struct frame){ .type = types[arg % ARRAY_COUNT(types)], .request = w->request[link], .body = bytes }); break;
    case 2:
        w->now = mono_add_ms(w->now, (uint64_t)arg * arg);
        event(w, OVERLAY_TICK, link, bytes_of(NULL, 0));
        break;
    case 3: event(w, OVERLAY_LINK_UP, link, bytes_of(NULL, 0)); break;
    case 4: event(w, OVERLAY_LINK_DOWN, link, bytes_of(NULL, 0)); break;
    case 5: use_verb(w, arg, bytes); break;
    case 6: say(w, link, (struct frame){ .type = MSG_PUB, .hop = arg, .age_ms = (uint32_t)arg * 500, .body = bytes }); break;
    case 7: w->links[link].id ^= arg; break;                   /* the transport would not; we must not mind */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!prepared)
        prepare();
    struct world w = start;
    restore(w.o);
    for (int n = 0; n < STEPS_MAX && size >= 4; n++) {
        size_t len = (size_t)data[2] << 8 | data[3];
        if (len > size - 4)
            len = size - 4;
        step(&w, data[0], data[1], bytes_of(data + 4, len));
        data += 4 + len;
        size -= 4 + len;
    }
    overlay_check(w.o);
    ENSURE(overlay_counters(w.o)->bytes_in <= UINT64_MAX / 2);
    return 0;
}
