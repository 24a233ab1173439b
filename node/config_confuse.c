/* config_confuse.c - reads a configuration file with libconfuse; every error names file and line.
 *
 * All keys are read as text and given to config_set(), so that limits and wording are the same for file, environment and
 * flags. A validating callback runs while libconfuse still knows the line.
 */
#include "node/config.h"

#include <confuse.h>
#include <stdio.h>
#include <string.h>

enum { KEYS_MAX = 64, SECTIONS_MAX = 12 };

/* libconfuse hands its callbacks no user pointer, so the reading in progress is found here. Start-up is single-threaded. */
static struct {
    struct config *config;
    struct config_fault *why;
    const char *path;
    bool failed;
} reading;

static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
    if (reading.failed)
        return;                                        /* the first error is the cause */
    char text[200];
    vsnprintf(text, sizeof text, fmt, ap);
    snprintf(reading.why->text, sizeof reading.why->text, "%s:%d: %s", reading.path, cfg ? cfg->line : 0, text);
    reading.failed = true;
}

static int apply(cfg_t *cfg, cfg_opt_t *opt)
{
    struct config_fault why;
    const char *section = strcmp(cfg_name(cfg), "root") == 0 ? "" : cfg_name(cfg);
    const char *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
    char key[96];
    enum err e;
    if (!value)
        return 0;
    if (strcmp(section, "model") == 0) {
        e = config_set_model(reading.config, cfg_title(cfg), cfg_opt_name(opt), value, &why);
    } else {
        snprintf(key, sizeof key, "%s%s%s", section, section[0] ? "." : "", cfg_opt_name(opt));
        e = config_set(reading.config, key, value, &why);
    }
    if (e != OK)
        cfg_error(cfg, "%s", why.text);
    return e == OK ? 0 : -1;
}

/* Options of one section, in place; returns how many. */
static size_t section_options(const struct config_key *keys, uint32_t count, const char *section, cfg_opt_t *out)
{
    size_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(keys[i].section, section) != 0)
            continue;
        cfg_opt_t text = CFG_STR(keys[i].key, NULL, CFGF_NODEFAULT);
        cfg_opt_t list = CFG_STR_LIST(keys[i].key, NULL, CFGF_NODEFAULT);
        out[n++] = keys[i].is_list ? list : text;
    }
    cfg_opt_t end = CFG_END();
    out[n] = end;
    return n;
}

enum err config_load(struct config *c, const char *path, struct config_fault *why)
{
    struct config_key keys[KEYS_MAX];
    uint32_t count = config_keys(keys, KEYS_MAX);
    cfg_opt_t root[KEYS_MAX + SECTIONS_MAX], sections[SECTIONS_MAX][KEYS_MAX];
    size_t n = section_options(keys, count, "", root), used = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool first = keys[i].section[0] != 0;
        for (uint32_t j = 0; j < i; j++)
            first = first && strcmp(keys[j].section, keys[i].section) != 0;
        if (!first)
            continue;
        ENSURE(used < SECTIONS_MAX);
        section_options(keys, count, keys[i].section, sections[used]);
        cfg_opt_t plain = CFG_SEC(keys[i].section, sections[used], CFGF_NONE);
        cfg_opt_t titled = CFG_SEC(keys[i].section, sections[used], CFGF_MULTI | CFGF_TITLE);
        root[n++] = keys[i].is_model ? titled : plain;
        used++;
    }
    cfg_opt_t end = CFG_END();
    root[n] = end;

    cfg_t *cfg = cfg_init(root, CFGF_NONE);
    if (!cfg)
        return ERR_MEMORY;
    reading.config = c;
    reading.why = why;
    reading.path = path;
    reading.failed = false;
    cfg_set_error_function(cfg, on_error);
    for (uint32_t i = 0; i < count; i++) {
        char name[96];
        snprintf(name, sizeof name, "%s%s%s", keys[i].section, keys[i].section[0] ? "|" : "", keys[i].key);
        cfg_set_validate_func(cfg, name, apply);
    }
    int rc = cfg_parse(cfg, path);
    cfg_free(cfg);
    if (rc == CFG_FILE_ERROR) {
        snprintf(why->text, sizeof why->text, "%s: cannot be read", path);
        return ERR_IO;
    }
    return rc == CFG_SUCCESS && !reading.failed ? OK : ERR_CONFIG;
}
