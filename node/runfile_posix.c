/* runfile_posix.c - tells other processes where this node listens, and systemd how it fares. */
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "node/address_posix.h"
#include "node/node_posix.h"

static void path_of(const struct node *n, char out[CONFIG_PATH_CHARS + 16])
{
    snprintf(out, CONFIG_PATH_CHARS + 16, "%s/run.json", n->config->data_dir);
}

enum err runfile_write(struct node *n, struct fault *why)
{
    char path[CONFIG_PATH_CHARS + 16], temp[CONFIG_PATH_CHARS + 24], boot[BOOTSTRAP_CHARS_MAX + 1], id[HASH_HEX_CHARS + 1];
    char address[ADDRESS_TEXT_CHARS], api[ADDRESS_TEXT_CHARS + 8];
    struct node_id self = node_id_of(&n->identity.node_public);
    path_of(n, path);
    snprintf(temp, sizeof temp, "%s.new", path);
    bootstrap_format(&n->self, boot);
    hash_format(&self.h, id);
    address_text(n->config->api_host, gateway_port(n->gateway), address);
    snprintf(api, sizeof api, "http://%s", address);
    json_t *j = json_pack("{s:i, s:s, s:s, s:s, s:s, s:i, s:s}", "pid", (int)getpid(), "network", n->config->network, "id", id,
                          "api", api, "host", n->self.host, "port", n->self.port, "bootstrap", boot);
    mode_t old = umask(0077);
    int rc = j ? json_dump_file(j, temp, JSON_INDENT(2) | JSON_SORT_KEYS) : -1;
    umask(old);
    json_decref(j);
    if (rc != 0 || rename(temp, path) != 0)
        return fault_set(why, ERR_IO, "%s: cannot be written", path);
    n->runfile_is_ours = true;
    return OK;
}

int runfile_pid(const char *data_dir)
{
    char path[CONFIG_PATH_CHARS + 16];
    snprintf(path, sizeof path, "%s/run.json", data_dir);
    json_t *j = json_load_file(path, 0, NULL);
    json_int_t pid = json_integer_value(json_object_get(j, "pid"));
    json_decref(j);
    return pid > 0 && pid <= INT_MAX ? (int)pid : 0;
}

void runfile_remove(struct node *n)
{
    char path[CONFIG_PATH_CHARS + 16];
    if (!n->runfile_is_ours)
        return;                                        /* another process runs with this folder, and it is its file */
    path_of(n, path);
    unlink(path);
}

/* sd_notify(3) by hand: one datagram; not worth a library. */
void notify_systemd(const char *state)
{
    const char *where = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    if (!where || strlen(where) >= sizeof to.sun_path || (where[0] != '/' && where[0] != '@'))
        return;
    memcpy(to.sun_path, where, strlen(where));
    if (to.sun_path[0] == '@')
        to.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(where)));
    close(fd);
}

uint64_t notify_every_us(void)
{
    const char *text = getenv("WATCHDOG_USEC");
    uint64_t us;
    return text && decimal_parse(text, 0, &us) == OK ? us / 3 : 0;
}
