/* config_confuse.c - reads a configuration file with libconfuse; every error names file and line.
 *
 * All keys are read as text and given to config_set(), so that limits and wording are the same for file, environment and
 * flags. A validating callback runs while libconfuse still knows the line.
 */
#include "node/config.h"

#include <confuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 64, SECTIONS_MAX = 12, FILE_BYTES_MAX = 1 << 20 };

/* libconfuse takes the end of a file for the end of any section that is open. A key that only the top level knows, read
 * after the last line, is an unknown one if a brace is missing. */
#define LAST_KEY "end_of_file_"
static const char last_line[] = "\n" LAST_KEY " = \"\"\n";

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
    if (strstr(text, LAST_KEY))
        snprintf(reading.why->text, sizeof reading.why->text, "%s: the file ends inside \"%s {\": a closing brace is missing", reading.path,
                 cfg ? cfg_name(cfg) : "");
    else
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

/* The whole file and last_line, for free(). ERR_IO, ERR_CONFIG (not text). */
static enum err read_text(const char *path, char **out, struct config_fault *why)
{
    char *text = malloc(FILE_BYTES_MAX + sizeof last_line);
    FILE *f = text ? fopen(path, "re") : NULL;
    size_t n = f ? fread(text, 1, FILE_BYTES_MAX, f) : 0;
    bool fine = f && !ferror(f), whole = fine && n < FILE_BYTES_MAX;
    if (f)
        fclose(f);
    if (whole && !memchr(text, 0, n)) {
        memcpy(text + n, last_line, sizeof last_line);
        *out = text;
        return OK;
    }
    free(text);
    snprintf(why->text, sizeof why->text, "%s: %s", path, fine ? "not a configuration file" : "cannot be read");
    return fine ? ERR_CONFIG : ERR_IO;
}

/* A section without a key in it is one, too. */
static void begin_models(cfg_t *cfg)
{
    struct config_fault why;
    for (unsigned i = 0; i < cfg_size(cfg, "model") && !reading.failed; i++)
        if (config_begin_model(reading.config, cfg_title(cfg_getnsec(cfg, "model", i)), &why) != OK)
            cfg_error(cfg, "%s", why.text);
}

static int parse(cfg_t *cfg, char *text, const struct config_key *keys, uint32_t count)
{
    cfg_set_error_function(cfg, on_error);
    for (uint32_t i = 0; i < count; i++) {
        char name[96];
        snprintf(name, sizeof name, "%s%s%s", keys[i].section, keys[i].section[0] ? "|" : "", keys[i].key);
        cfg_set_validate_func(cfg, name, apply);
    }
    int rc = cfg_parse_buf(cfg, text);
    if (rc == CFG_SUCCESS)
        begin_models(cfg);
    return rc;
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
    cfg_opt_t last = CFG_STR(LAST_KEY, NULL, CFGF_NODEFAULT), end = CFG_END();
    root[n++] = last;
    root[n] = end;

    char *text;
    enum err e = read_text(path, &text, why);
    if (e != OK)
        return e;
    cfg_t *cfg = cfg_init(root, CFGF_NONE);
    if (!cfg) {
        free(text);
        return ERR_MEMORY;
    }
    reading.config = c;
    reading.why = why;
    reading.path = path;
    reading.failed = false;
    int rc = parse(cfg, text, keys, count);
    if (rc != CFG_SUCCESS && !reading.failed)          /* on a key without a name libconfuse gives up and says nothing */
        snprintf(why->text, sizeof why->text, "%s: a line is not \"key = value\"", path);
    cfg_free(cfg);
    free(text);
    return rc == CFG_SUCCESS && !reading.failed ? OK : ERR_CONFIG;
}
