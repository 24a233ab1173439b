/* note.c - one side's signed word on how a job ended. */
#include "ledger/note.h"

enum { NOTE_FIELDS = 6 };

const char *outcome_text(enum outcome o)
{
    static const char *const texts[] = {
#define X(name, text) text,
        JOB_OUTCOME_TABLE(X)
#undef X
    };
    return (unsigned)o < OUTCOME_COUNT ? texts[o] : "unknown";
}

const char *reason_text(enum reason r)
{
    static const char *const texts[] = {
#define X(name, text) text,
        REASON_TABLE(X)
#undef X
    };
    return (unsigned)r < REASON_COUNT ? texts[r] : "unknown";
}

const char *side_text(enum side s)
{
    switch (s) {
    case SIDE_NONE: return "none";
    case SIDE_REQUESTER: return "requester";
    case SIDE_PROVIDER: return "provider";
    }
    return "unknown";
}

enum err note_encode(const struct note *n, uint8_t buf[NOTE_BYTES_MAX], struct bytes *out_body)
{
    if (n->by == SIDE_NONE || n->outcome == OUTCOME_NONE)
        return ERR_ARG;
    struct writer w;
    writer_init(&w, buf, NOTE_BYTES_MAX);
    write_array(&w, NOTE_FIELDS);
    write_uint(&w, NOTE_VERSION);
    write_hash(&w, &n->subject);
    write_uint(&w, n->by);
    write_uint(&w, n->outcome);
    write_uint(&w, n->fault);
    write_uint(&w, n->reason);
    return writer_finish(&w, out_body);
}

enum err note_decode(struct bytes body, struct note *out)
{
    if (body.len > NOTE_BYTES_MAX)
        return ERR_TOO_LARGE;
    struct note n;
    struct reader r;
    reader_init(&r, body);
    read_array(&r, NOTE_FIELDS);
    uint64_t version = read_uint(&r, UINT64_MAX);
    read_hash(&r, &n.subject);
    n.by = (enum side)read_uint(&r, SIDE_PROVIDER);
    n.outcome = (enum outcome)read_uint(&r, OUTCOME_COUNT - 1);
    n.fault = (enum side)read_uint(&r, SIDE_PROVIDER);
    n.reason = (enum reason)read_uint(&r, REASON_COUNT - 1);
    enum err e = reader_finish(&r);
    if (e == OK && version != NOTE_VERSION)
        e = ERR_VERSION;
    if (e == OK && (n.by == SIDE_NONE || n.outcome == OUTCOME_NONE))
        e = ERR_ARG;
    if (e == OK)
        *out = n;
    return e;
}

void note_sign(const struct secret_key *k, const struct net_id *net, struct bytes body, struct sig *out)
{
    key_sign(k, PURPOSE_NOTE, net, body, out);
}

enum err note_verify(const struct note *n, const struct terms *t, struct bytes body, const struct sig *s)
{
    return key_verify(terms_key_of(t, n->by), PURPOSE_NOTE, &t->net, body, s);
}
