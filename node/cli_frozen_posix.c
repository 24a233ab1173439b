/* cli_frozen_posix.c - which nodes are frozen out (PROTO 7.9), and on what evidence? For `tally balance` and `tally doctor`. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "crypto/hex.h"
#include "node/cli.h"
#include "node/cli_wallet_jansson.h"

bool wallet_is_frozen(struct wallet *w, const struct pubkey *peer) { return ledger_frozen_check(&w->ledger, peer) == ERR_STATE; }

uint64_t wallet_count_frozen(struct wallet *w)
{
    struct account a;
    struct pubkey cursor = { { 0 } };
    uint64_t count = 0;
    while (ledger_account_next(&w->ledger, &cursor, &a) == OK)
        count += wallet_is_frozen(w, &a.peer);
    return count;
}

/* null where there is nothing: a body that was only named, a signature that is not on it. */
static json_t *bytes_json(struct bytes b)
{
    char text[2 * TERMS_BYTES_MAX + 1];
    size_t zeros = 0;
    while (zeros < b.len && b.data[zeros] == 0)
        zeros++;
    if (zeros == b.len || 2 * b.len >= sizeof text)
        return json_null();
    hex_format(b, text);
    return json_string(text);
}

static json_t *half_json(const struct hash *id, struct bytes body, const struct sig *requester, const struct sig *provider)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "id", hash_json(id), "body", bytes_json(body), "requester_signature",
                     bytes_json(bytes_of(requester->b, sizeof requester->b)), "provider_signature", bytes_json(bytes_of(provider->b, sizeof provider->b)));
}

json_t *evidence_json(struct wallet *w, const struct pubkey *peer)
{
    static const enum side roles[] = { SIDE_REQUESTER, SIDE_PROVIDER };
    json_t *list = json_array();
    for (size_t i = 0; i < ARRAY_COUNT(roles); i++) {
        struct evidence other;
        struct receipt_view ours;
        for (uint64_t seq = 0; ledger_evidence_at(&w->ledger, roles[i], peer, seq, &other) == OK; seq = other.seq + 1) {
            json_t *theirs = half_json(&other.other, other.body, &other.requester_sig, &other.provider_sig), *mine = json_null();
            if (ledger_receipt_at(&w->ledger, roles[i], peer, other.seq, &ours) == OK)
                mine = half_json(&ours.id, ours.body, &ours.requester_sig, &ours.provider_sig);
            json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:o}", "role", side_text(roles[i]), "seq", amount_json(other.seq),
                                                  "ours", mine, "theirs", theirs));
        }
    }
    return list;
}

void evidence_print(struct cli *c, struct wallet *w, const struct pubkey *peer)
{
    json_t *list = evidence_json(w, peer), *item;
    size_t i;
    printf("%sfrozen%s: two receipts under one number, so nothing is signed with this node any more\n", cli_red(c), cli_plain(c));
    json_array_foreach(list, i, item) {
        const char *ours = json_string_value(json_object_get(json_object_get(item, "ours"), "id"));
        const char *theirs = json_string_value(json_object_get(json_object_get(item, "theirs"), "id"));
        bool shown = json_is_string(json_object_get(json_object_get(item, "theirs"), "body"));
        printf("  receipt %s, we the %s: ours %.*s, its %.*s, %s\n", json_string_value(json_object_get(item, "seq")),
               json_string_value(json_object_get(item, "role")), CLI_DIGITS_SHOWN, ours ? ours : "-", CLI_DIGITS_SHOWN, theirs ? theirs : "-",
               shown ? "with its signature (--json: both, byte for byte)" : "which it has named and not shown");
    }
    json_decref(list);
}
