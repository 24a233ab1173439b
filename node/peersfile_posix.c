/* peersfile_posix.c - remembers peers across restarts. */
#include "node/peersfile_posix.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void path_of(const struct node *n, char out[CONFIG_PATH_CHARS + 16])
{
    snprintf(out, CONFIG_PATH_CHARS + 16, "%s/peers", n->config->data_dir);
}

void peersfile_read(struct node *n)
{
    char path[CONFIG_PATH_CHARS + 16], line[BOOTSTRAP_CHARS_MAX + 2];
    path_of(n, path);
    FILE *f = fopen(path, "re");
    for (int i = 0; f && i < PEERSFILE_MAX && fgets(line, sizeof line, f); i++) {
        struct bootstrap b;
        line[strcspn(line, "\n")] = 0;
        if (bootstrap_parse(line, &b) == OK && agent_bootstrap(n->agent, mono_now(), &b) != OK)
            break;                                     /* of another network, or the list is full */
    }
    if (f)
        fclose(f);
}

static uint32_t oldest_peers(struct node *n, struct overlay_peer out[PEERSFILE_MAX])
{
    struct overlay_peer p;
    size_t cursor = 0;
    uint32_t count = 0;
    while (overlay_peer_each(agent_overlay(n->agent), &cursor, &p)) {
        if (!record_is_dialable(p.record))
            continue;
        uint32_t at = count < PEERSFILE_MAX ? count++ : PEERSFILE_MAX;
        for (; at > 0 && p.up_since.us < out[at - 1].up_since.us; at--)
            if (at < PEERSFILE_MAX)
                out[at] = out[at - 1];
        if (at < PEERSFILE_MAX)
            out[at] = p;
    }
    return count;
}

static void write_file(struct node *n, const struct overlay_peer *peers, uint32_t count)
{
    char path[CONFIG_PATH_CHARS + 16], temp[CONFIG_PATH_CHARS + 24], text[BOOTSTRAP_CHARS_MAX + 1];
    path_of(n, path);
    snprintf(temp, sizeof temp, "%s.new", path);
    FILE *f = fopen(temp, "we");
    if (!f)
        return;
    for (uint32_t i = 0; i < count; i++) {
        struct bootstrap b = { .port = peers[i].record->at.port, .transport = peers[i].record->at.transport, .net = n->net };
        memcpy(b.host, peers[i].record->at.host, sizeof b.host);
        bootstrap_format(&b, text);
        fprintf(f, "%s\n", text);
    }
    if (fclose(f) != 0 || rename(temp, path) != 0)
        unlink(temp);
}

void peersfile_turn(struct node *n)
{
    struct overlay_peer peers[PEERSFILE_MAX];
    uint64_t changes = overlay_counters(agent_overlay(n->agent))->peers_up;
    struct mono now = mono_now();
    bool changed = changes != n->peers_written;
    if (!mono_reached(now, mono_add_ms(n->peers_at, changed ? PEERSFILE_SETTLE_MS : PEERSFILE_REFRESH_MS)))
        return;
    uint32_t count = oldest_peers(n, peers);
    n->peers_at = now;
    n->peers_written = changes;
    if (count)                                         /* alone is no reason to forget everybody */
        write_file(n, peers, count);
}
