/* fuzz_config.c - a configuration is read or refused with a sentence; what is read is within its bounds, and reading it leaks nothing. */
#include <string.h>

#include "crypto/bounds.h"
#include "node/config.h"
#include "tests/fuzz/memfile_linux.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool fine)
{
    if (!fine)
        abort();
}

#define IS_TEXT(field) must(memchr(field, 0, sizeof(field)) != NULL)

static void check_bounds(const struct config *c)
{
    IS_TEXT(c->network);
    IS_TEXT(c->data_dir);
    IS_TEXT(c->listen_host);
    IS_TEXT(c->advertise_host);
    IS_TEXT(c->owner_cert);
    IS_TEXT(c->api_host);
    IS_TEXT(c->api_key_file);
    IS_TEXT(c->jurisdiction);
    IS_TEXT(c->backend);
    IS_TEXT(c->log_level);
    IS_TEXT(c->log_format);
    must(c->pow_bits <= POW_BITS_MAX && c->tier <= 2);
    must(c->bootstrap_count <= CONFIG_BOOTSTRAPS_MAX && c->model_count <= CONFIG_MODELS_MAX);
    for (uint32_t i = 0; i < c->bootstrap_count; i++) {
        struct bootstrap b;
        IS_TEXT(c->bootstrap[i]);
        must(bootstrap_parse(c->bootstrap[i], &b) == OK);
    }
    for (uint32_t i = 0; i < c->model_count; i++) {
        IS_TEXT(c->models[i].name);
        IS_TEXT(c->models[i].path);
        must(c->models[i].name[0] && c->models[i].price_output <= PRICE_MAX);
        for (uint32_t j = 0; j < i; j++)
            must(strcmp(c->models[i].name, c->models[j].name) != 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config c;
    struct config_fault why = { { 0 } };
    char path[MEMFILE_PATH_CHARS];
    if (size > 65536)
        return 0;
    config_defaults(&c);
    int fd = memfile_open(data, size, path);
    enum err e = config_load(&c, path, &why);
    close(fd);
    check_bounds(&c);
    if (e == OK)
        e = config_validate(&c, &why);
    must(e == OK || e == ERR_CONFIG || e == ERR_MEMORY);
    must(e == OK || (why.text[0] && memchr(why.text, 0, sizeof why.text) != NULL));
    return 0;
}
