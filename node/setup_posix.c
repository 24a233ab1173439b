/* setup_posix.c - see setup_posix.h. */
#include "node/setup_posix.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernels/backend.h"
#include "kernels/chat.h"
#include "kernels/device.h"
#include "kernels/model.h"
#include "kernels/modelfile_posix.h"
#include "node/identity_posix.h"

enum err setup_check_backend(const char *name, struct fault *why)
{
    char names[120] = "auto";
    const struct ops *ops;
    if (strcmp(name, "auto") == 0 || device_is_here(name))
        return OK;
    for (size_t i = 0; (ops = backend_at(i)); i++) {
        size_t n = strlen(names);
        snprintf(names + n, sizeof names - n, ", %s", ops->name);
    }
    return fault_set(why, ERR_CONFIG, "backend: there is no \"%.60s\" on this machine (there is: %s)", name, names);
}

enum err setup_check_bootstraps(const struct config *c, struct fault *why)
{
    struct net_id net = net_id_of(c->network);
    for (uint32_t i = 0; i < c->bootstrap_count; i++) {
        struct bootstrap b;
        enum err e = bootstrap_parse(c->bootstrap[i], &b);
        if (e == OK && !net_id_equal(&b.net, &net))
            return fault_set(why, ERR_NETWORK, "bootstrap %.120s is of another network than \"%s\"; ask for its name", c->bootstrap[i], c->network);
    }
    return OK;
}

static unsigned proved_bits(const struct identity_glance *g)
{
    unsigned bits = 0;
    while (bits < 64 && pow_check(&g->node, &g->net, g->pow_nonce, bits + 1) == OK)
        bits++;
    return bits;
}

enum err setup_check_identity(const struct config *c, struct fault *why)
{
    struct identity_glance g;
    struct net_id net = net_id_of(c->network);
    if (identity_is_absent(c->data_dir))
        return OK;
    enum err e = identity_glance(c->data_dir, NULL, &g, why);
    if (e == ERR_LOCKED)
        return OK;                                     /* the start asks for the passphrase, and then knows */
    if (e != OK)
        return e;
    if (!net_id_equal(&g.net, &net))
        return fault_set(why, ERR_NETWORK, "%.120s/node.pow was made for another network than \"%s\"; use another data_dir for this one", c->data_dir, c->network);
    if (pow_check(&g.node, &net, g.pow_nonce, c->pow_bits) != OK)
        return fault_set(why, ERR_POW, "pow_bits = %u, but %.80s/node.pow proves %u: correct pow_bits, or run `tally init` again to prove more",
                         c->pow_bits, c->data_dir, proved_bits(&g));
    return OK;
}

static socklen_t socket_address(const char *host, uint16_t port, struct sockaddr_storage *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return sizeof *v4;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1)
        return 0;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    return sizeof *v6;
}

enum err setup_check_listen(const struct config *c, bool with_port, struct fault *why)
{
    struct sockaddr_storage at;
    socklen_t len = socket_address(c->listen_host, with_port ? c->listen_port : 0, &at);
    int fd = len ? socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1, one = 1, error = 0;
    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 || bind(fd, (struct sockaddr *)&at, len) != 0))
        error = errno;
    if (len && fd < 0)
        error = errno;
    if (fd >= 0)
        close(fd);
    if (!len || error == EADDRNOTAVAIL)
        return fault_set(why, ERR_CONFIG, "listen.host: %.100s is no address of this machine (0.0.0.0: all of them)", c->listen_host);
    if (error == EADDRINUSE)
        return fault_set(why, ERR_CONFIG, "listen.port: %u is taken by another program; set another, or 0 for any that is free", c->listen_port);
    return error ? fault_set(why, ERR_CONFIG, "listen %.100s port %u: %s", c->listen_host, c->listen_port, strerror(error)) : OK;
}

static enum err open_parts(struct bytes file, bool *has_chat, struct fault *why)
{
    struct gguf g;
    struct model m;
    struct chat chat;
    struct tokenizer *t;
    struct fault no_chat;
    enum err e = gguf_open(file, false, &g, why);
    if (e != OK)
        return e;
    e = tokenizer_open(&g, &t, why);
    if (e == OK) {
        *has_chat = chat_open(&g, t, &chat, &no_chat) == OK;
        tokenizer_close(t);
        e = model_open(&g, &m, why);
    }
    if (e == OK)
        model_close(&m);
    gguf_close(&g);
    return e;
}

enum err setup_check_model(const struct config_model *m, bool *has_chat, struct fault *why)
{
    struct modelfile file;
    struct fault inner = { { 0 } };
    bool chat = false;
    enum err e = modelfile_open(m->path, &file, &inner);
    if (e == OK) {
        e = open_parts(file.bytes, &chat, &inner);
        modelfile_close(&file);
    }
    if (e != OK)
        return fault_set(why, e, "model \"%.40s\": %.90s: %.100s", m->name, m->path, inner.text[0] ? inner.text : err_text(e));
    if (has_chat)
        *has_chat = chat;
    return OK;
}

enum err setup_check(const struct config *c, struct fault *why)
{
    enum err e = setup_check_backend(c->backend, why);
    if (e == OK)
        e = setup_check_bootstraps(c, why);
    if (e == OK)
        e = setup_check_identity(c, why);
    if (e == OK)
        e = setup_check_listen(c, false, why);
    for (uint32_t i = 0; e == OK && c->provide && i < c->model_count; i++)
        e = setup_check_model(&c->models[i], NULL, why);
    return e;
}
