/* config.c - the table of keys and everything that can be made from it. */
#include "node/config.h"

#include <stdio.h>
#include <string.h>

#include "crypto/bounds.h"

enum kind { TEXT, WORD, HOST, ADDRESS, PORT, UINT, FLAG, PRICE, CREDITS, TIER, COUNTRY, BOOTSTRAP };

struct key {
    const char *section, *key;
    enum kind kind;
    size_t offset, cap;                                /* cap: bytes of a text field, largest value of a UINT */
    const char *value;                                 /* default, as one would write it */
    const char *doc;
};

#define AT(field) offsetof(struct config, field), sizeof(((struct config *)0)->field)
#define AT_MAX(field, max) offsetof(struct config, field), (max)
static const struct key keys[] = {
    { "", "network", WORD, AT(network), "public", "Name of the mesh. Nodes of different networks never talk to each other." },
    { "", "data_dir", TEXT, AT(data_dir), "/var/lib/tallymesh", "Keys, ledger and model caches. Mode 0700." },
    { "", "pow_bits", UINT, AT_MAX(pow_bits, POW_BITS_MAX), TEXT_OF(POW_BITS_PUBLIC),
      "Proof of work an identity needs in this network: " TEXT_OF(POW_BITS_PUBLIC) " public, " TEXT_OF(POW_BITS_TESTNET) " on testnets." },
    { "", "bootstrap", BOOTSTRAP, AT(bootstrap), "", "Where to join: strings from other operators (`tally key bootstrap`)." },
    { "", "owner_cert", TEXT, AT(owner_cert), "", "Certificate of the owner key for this node; empty: <data_dir>/owner.cert if present." },
    { "listen", "host", ADDRESS, AT(listen_host), "0.0.0.0", "Address the mesh socket binds: IPv4 or IPv6, no name." },
    { "listen", "port", PORT, AT(listen_port), "7600", "TCP port of the mesh socket; 0 takes a free one." },
    { "listen", "advertise", HOST, AT(advertise_host), "", "Host name or address other nodes dial; empty: listen.host, if that can be dialled." },
    { "api", "host", HOST, AT(api_host), "127.0.0.1", "Address of the OpenAI-compatible endpoint. Anything but loopback wants api.key_file." },
    { "api", "port", PORT, AT(api_port), "8600", "Port of the endpoint; 0 takes a free one." },
    { "api", "key_file", TEXT, AT(api_key_file), "", "File holding the bearer token clients must send; empty: none is asked for." },
    { "provider", "enabled", FLAG, AT(provide), "true", "Bid for work on the models below." },
    { "provider", "jurisdiction", COUNTRY, AT(jurisdiction), "ZZ", "Two letters of the country whose law applies to this machine (ISO 3166); ZZ: not stated." },
    { "provider", "tier", TIER, AT(tier), "edge", "edge, regional or factory." },
    { "provider", "energy_mj_per_1k", UINT, AT_MAX(energy_mj_per_1k, 1000000000u), "0", "Measured millijoule per 1000 output tokens; 0: not measured, nothing is claimed." },
    { "provider", "credit_limit", CREDITS, AT(credit_limit_pico), "1", "Credits one requester may owe before its work is refused." },
    { "provider", "newcomer_limit", CREDITS, AT(newcomer_limit_pico), "5", "Credits all newcomers together may owe." },
    { "requester", "price_input_max", PRICE, AT(price_input_max), "0", "Most to pay per million input tokens, in credits; 0: no limit." },
    { "requester", "price_output_max", PRICE, AT(price_output_max), "0", "Most to pay per million output tokens, in credits; 0: no limit." },
    { "requester", "budget", CREDITS, AT(budget_pico), "0", "Most to pay for one request, in credits; 0: no limit." },
    { "requester", "keep_prompts_hours", UINT, AT_MAX(keep_prompts_hours, 87600), "168", "How long prompt, nonce and answer are kept (encrypted) so that a receipt can be re-executed; 0: not at all." },
    { "requester", "token_deadline_ms", UINT, AT_MAX(token_deadline_ms, 600000), "10000", "No token for this long: the provider is taken for dead and another continues." },
    { "requester", "allow_local", FLAG, AT(allow_local), "true", "Answer with this node's own models when it has them: free, no receipt." },
    { "engine", "backend", WORD, AT(backend), "auto", "auto, or a backend by name (`tally doctor` lists them). All give the same bytes." },
    { "engine", "threads", UINT, AT_MAX(threads, 256), "0", "Compute threads; 0: one per core." },
    { "limits", "memory_mb", UINT, AT_MAX(memory_mb, 16777216), "0", "Most memory of the node process in all, model files not counted; 0: 4096 and what its engines reserve. Over it the node restarts and loses nothing." },
    { "limits", "inbound_max", UINT, AT_MAX(inbound_max, 4096), "256", "Most inbound peers at once." },
    { "limits", "supervise", FLAG, AT(supervise), "true", "Restart the node process after a crash." },
    { "log", "level", WORD, AT(log_level), "info", "error, warn, info or debug." },
    { "log", "format", WORD, AT(log_format), "text", "text or json; one line per event either way." },
};

#define MODEL_AT(field) offsetof(struct config_model, field), sizeof(((struct config_model *)0)->field)
#define MODEL_AT_MAX(field, max) offsetof(struct config_model, field), (max)
static const struct key model_keys[] = {
    { "model", "path", TEXT, MODEL_AT(path), "/srv/models/tally-tales.gguf", "GGUF file." },
    { "model", "price_input", PRICE, MODEL_AT(price_input), "0.05", "Credits per million input tokens." },
    { "model", "price_cached", PRICE, MODEL_AT(price_cached), "0.01", "Credits per million input tokens served from a prefix cache." },
    { "model", "price_output", PRICE, MODEL_AT(price_output), "0.20", "Credits per million output tokens." },
    { "model", "slots", UINT, MODEL_AT_MAX(slots, 64), "4", "Requests answered at once." },
    { "model", "context", UINT, MODEL_AT_MAX(context, 1048576), "0", "Longest prompt plus answer; 0: what the model was made for." },
};

static enum err refuse(struct config_fault *why, const struct key *k, const char *value, const char *wants)
{
    snprintf(why->text, sizeof why->text, "%s%s%s: \"%.60s\" is not %s", k->section, k->section[0] ? "." : "", k->key, value, wants);
    return ERR_CONFIG;
}

enum err decimal_parse(const char *text, unsigned decimals, uint64_t *out)
{
    uint64_t v = 0;
    unsigned seen = 0;
    bool point = false, digits = false;
    for (const char *p = text; *p; p++) {
        if (*p == '.' && !point) {
            point = true;
            continue;
        }
        if (*p < '0' || *p > '9' || (point && ++seen > decimals))
            return ERR_FORMAT;
        digits = true;
        if (v > (UINT64_MAX - (uint64_t)(*p - '0')) / 10)
            return ERR_OVERFLOW;
        v = v * 10 + (uint64_t)(*p - '0');
    }
    if (!digits)
        return ERR_FORMAT;
    for (; seen < decimals; seen++) {
        if (v > UINT64_MAX / 10)
            return ERR_OVERFLOW;
        v *= 10;
    }
    *out = v;
    return OK;
}

static bool is_word(const char *v)
{
    return v[0] && strspn(v, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == strlen(v);
}

static enum err set_bootstrap(struct config *c, const struct key *k, const char *value, struct config_fault *why)
{
    struct bootstrap b;
    if (!value[0]) {
        c->bootstrap_count = 0;
        return OK;
    }
    if (bootstrap_parse(value, &b) != OK)
        return refuse(why, k, value, "a bootstrap string (tally://HOST:PORT/KEY?net=ID)");
    char canonical[BOOTSTRAP_CHARS_MAX + 1];
    bootstrap_format(&b, canonical);
    for (uint32_t i = 0; i < c->bootstrap_count; i++)
        if (strcmp(c->bootstrap[i], canonical) == 0)
            return OK;
    if (c->bootstrap_count == CONFIG_BOOTSTRAPS_MAX)
        return refuse(why, k, value, "one of the first 16 bootstrap strings");
    memcpy(c->bootstrap[c->bootstrap_count++], canonical, sizeof canonical);
    return OK;
}

static enum err set_number(const struct key *k, void *field, const char *value, struct config_fault *why)
{
    uint64_t v;
    unsigned decimals = k->kind == PRICE ? 6 : k->kind == CREDITS ? 12 : 0;
    if (decimal_parse(value, decimals, &v) != OK)
        return refuse(why, k, value, decimals == 0 ? "a whole number" : "a decimal number in range");
    if (k->kind == PORT) {
        if (v > 65535)
            return refuse(why, k, value, "a TCP port");
        *(uint16_t *)field = (uint16_t)v;
    } else if (k->kind == UINT) {
        if (v > k->cap)
            return refuse(why, k, value, "within range");
        *(uint32_t *)field = (uint32_t)v;
    } else {
        if (k->kind == PRICE && strcmp(k->section, "model") == 0 && v > PRICE_MAX)
            return refuse(why, k, value, "a price that the protocol can carry: at most 1000 credits per million tokens");
        *(uint64_t *)field = v;
    }
    return OK;
}

/* Of valid hosts those with a colon are IPv6; and no name may look like an IPv4 address. */
bool config_is_address(const char *host)
{
    return host_is_valid(host) && (strchr(host, ':') || strspn(host, "0123456789.") == strlen(host));
}

static enum err set_text(const struct key *k, char *field, const char *value, struct config_fault *why)
{
    bool is_country = strlen(value) == 2 && value[0] >= 'A' && value[0] <= 'Z' && value[1] >= 'A' && value[1] <= 'Z';
    if (k->kind == COUNTRY && !is_country)
        return refuse(why, k, value, "a jurisdiction: the two capital letters of a country (ISO 3166), for instance DE; ZZ says nothing");
    if (strlen(value) >= k->cap)
        return refuse(why, k, value, "short enough");
    if (k->kind == WORD && !is_word(value))
        return refuse(why, k, value, "a word of letters, digits, '.', '_' and '-'");
    if (k->kind == HOST && value[0] && !host_is_valid(value))
        return refuse(why, k, value, "a host name or address");
    if (k->kind == ADDRESS && !config_is_address(value))
        return refuse(why, k, value, "an IPv4 or IPv6 address (0.0.0.0: every one of this machine)");
    memcpy(field, value, strlen(value) + 1);
    return OK;
}

static enum err set_field(const struct key *k, void *base, const char *value, struct config_fault *why)
{
    void *field = (char *)base + k->offset;
    switch (k->kind) {
    case TEXT:
    case WORD:
    case HOST:
    case ADDRESS:
    case COUNTRY:
        return set_text(k, field, value, why);
    case PORT:
    case UINT:
    case PRICE:
    case CREDITS:
        return set_number(k, field, value, why);
    case FLAG:
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
            return refuse(why, k, value, "true or false");
        *(bool *)field = value[0] == 't';
        return OK;
    case TIER: {
        static const char *const tiers[] = { "edge", "regional", "factory" };
        for (uint8_t i = 0; i < ARRAY_COUNT(tiers); i++)
            if (strcmp(value, tiers[i]) == 0) {
                *(uint8_t *)field = i;
                return OK;
            }
        return refuse(why, k, value, "edge, regional or factory");
    }
    case BOOTSTRAP:
        return set_bootstrap(base, k, value, why);
    }
    return ERR_CONFIG;
}

void config_defaults(struct config *c)
{
    struct config_fault why;
    memset(c, 0, sizeof *c);
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
        ENSURE(set_field(&keys[i], c, keys[i].value, &why) == OK);
}

/* "NAME.KEY" of a model: a name may have dots in it, a key has none, so the last dot parts them. */
static enum err set_in_model(struct config *c, const char *text, const char *value, struct config_fault *why)
{
    char name[CONFIG_WORD_CHARS + 1];
    const char *dot = strrchr(text, '.');
    if (!dot || dot == text || (size_t)(dot - text) >= sizeof name) {
        snprintf(why->text, sizeof why->text, "model.%.80s: wants model.NAME.KEY", text);
        return ERR_CONFIG;
    }
    snprintf(name, sizeof name, "%.*s", (int)(dot - text), text);
    return config_set_model(c, name, dot + 1, value, why);
}

enum err config_set(struct config *c, const char *key, const char *value, struct config_fault *why)
{
    if (strncmp(key, "model.", 6) == 0)
        return set_in_model(c, key + 6, value, why);
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        size_t n = strlen(keys[i].section);
        const char *rest = key;
        if (n) {
            if (strncmp(key, keys[i].section, n) != 0 || key[n] != '.')
                continue;
            rest = key + n + 1;
        }
        if (strcmp(rest, keys[i].key) == 0)
            return set_field(&keys[i], c, value, why);
    }
    snprintf(why->text, sizeof why->text, "there is no key \"%.80s\" (tallyd --print-config lists them)", key);
    return ERR_CONFIG;
}

static struct config_model *model_section(struct config *c, const char *name)
{
    for (uint32_t i = 0; i < c->model_count; i++)
        if (strcmp(c->models[i].name, name) == 0)
            return &c->models[i];
    if (c->model_count == CONFIG_MODELS_MAX || strlen(name) > CONFIG_WORD_CHARS || !is_word(name))
        return NULL;
    struct config_model *m = &c->models[c->model_count++];
    struct config_fault why;
    memcpy(m->name, name, strlen(name) + 1);
    for (size_t i = 1; i < ARRAY_COUNT(model_keys); i++)       /* [0] is the path, which has no default */
        ENSURE(set_field(&model_keys[i], m, model_keys[i].value, &why) == OK);
    return m;
}

enum err config_begin_model(struct config *c, const char *name, struct config_fault *why)
{
    if (model_section(c, name))
        return OK;
    snprintf(why->text, sizeof why->text, "model \"%.64s\": not a short name, or more than %d models", name, CONFIG_MODELS_MAX);
    return ERR_CONFIG;
}

enum err config_set_model(struct config *c, const char *name, const char *key, const char *value, struct config_fault *why)
{
    uint32_t count = c->model_count;
    enum err e = config_begin_model(c, name, why);
    if (e != OK)
        return e;
    struct config_model *m = model_section(c, name);
    e = ERR_NOT_FOUND;
    for (size_t i = 0; i < ARRAY_COUNT(model_keys); i++)
        if (strcmp(model_keys[i].key, key) == 0)
            e = set_field(&model_keys[i], m, value, why);
    if (e == ERR_NOT_FOUND)
        snprintf(why->text, sizeof why->text, "model.%.64s: there is no key \"%.64s\"", name, key);
    if (e != OK && c->model_count > count) {
        memset(m, 0, sizeof *m);                           /* a section does not begin with a mistake */
        c->model_count = count;
    }
    return e == OK ? OK : ERR_CONFIG;
}

static void upper_copy(char *out, const char *text)
{
    for (; *text; text++)
        *out++ = *text >= 'a' && *text <= 'z' ? (char)(*text - 'a' + 'A') : *text;
    *out = 0;
}

enum err config_environment(struct config *c, char *(*lookup)(const char *), struct config_fault *why)
{
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        char text[96], name[96];
        snprintf(text, sizeof text, "tally_%s%s%s", keys[i].section, keys[i].section[0] ? "_" : "", keys[i].key);
        upper_copy(name, text);
        const char *value = lookup(name);
        if (!value)
            continue;
        enum err e = set_field(&keys[i], c, value, why);
        if (e != OK) {
            char told[CONFIG_FAULT_CHARS];
            memcpy(told, why->text, sizeof told);
            snprintf(why->text, sizeof why->text, "environment %s: %.180s", name, told);
            return e;
        }
    }
    return OK;
}

static enum err complain(struct config_fault *why, const char *text)
{
    snprintf(why->text, sizeof why->text, "%s", text);
    return ERR_CONFIG;
}

enum err config_validate(const struct config *c, struct config_fault *why)
{
    static const char *const levels[] = { "error", "warn", "info", "debug" };
    size_t i = 0;
    while (i < ARRAY_COUNT(levels) && strcmp(c->log_level, levels[i]) != 0)
        i++;
    if (i == ARRAY_COUNT(levels))
        return complain(why, "log.level: wants error, warn, info or debug");
    if (strcmp(c->log_format, "text") != 0 && strcmp(c->log_format, "json") != 0)
        return complain(why, "log.format: wants text or json");
    if (c->memory_mb > 0 && c->memory_mb < CONFIG_MEMORY_MIB_MIN)
        return complain(why, "limits.memory_mb: a node needs 64 MiB for itself (0: no total)");
    if (!c->data_dir[0])
        return complain(why, "data_dir: must not be empty");
    if (strcmp(c->api_host, "127.0.0.1") != 0 && strcmp(c->api_host, "::1") != 0 && strcmp(c->api_host, "localhost") != 0 &&
        !c->api_key_file[0])
        return complain(why, "api.host: an endpoint beyond loopback needs api.key_file");
    for (uint32_t m = 0; m < c->model_count; m++)
        if (!c->models[m].path[0]) {
            snprintf(why->text, sizeof why->text, "model \"%s\": path is missing", c->models[m].name);
            return ERR_CONFIG;
        }
    return OK;
}

uint32_t config_keys(struct config_key *out, uint32_t max)
{
    uint32_t n = 0;
    for (size_t i = 0; i < ARRAY_COUNT(keys) && n < max; i++)
        out[n++] = (struct config_key){ keys[i].section, keys[i].key, keys[i].kind == BOOTSTRAP, false };
    for (size_t i = 0; i < ARRAY_COUNT(model_keys) && n < max; i++)
        out[n++] = (struct config_key){ "model", model_keys[i].key, false, true };
    return n;
}

static void example_key(const struct key *k, const char *indent, void (*line)(void *, const char *), void *to)
{
    char text[512];
    snprintf(text, sizeof text, "%s# %s", indent, k->doc);
    line(to, text);
    if (k->kind == BOOTSTRAP)
        snprintf(text, sizeof text, "%s%s = {}", indent, k->key);
    else if (k->kind == UINT || k->kind == PORT || k->kind == PRICE || k->kind == CREDITS || k->kind == FLAG)
        snprintf(text, sizeof text, "%s%s = %s", indent, k->key, k->value);
    else
        snprintf(text, sizeof text, "%s%s = \"%s\"", indent, k->key, k->value);
    line(to, text);
}

void config_example(void (*line)(void *, const char *), void *to)
{
    const char *open = "";
    char text[128];
    line(to, "# tallyd configuration. Every key with its default; environment TALLY_SECTION_KEY and --set section.key=value override.");
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        if (strcmp(open, keys[i].section) != 0) {
            if (open[0])
                line(to, "}");
            snprintf(text, sizeof text, "\n%s {", keys[i].section);
            line(to, text);
            open = keys[i].section;
        }
        example_key(&keys[i], open[0] ? "    " : "", line, to);
    }
    line(to, "}\n\n# One section per model this node serves; the title is the name clients use. No environment, but");
    line(to, "# --set model.NAME.key=value overrides one key, and --set model.NAME.path=FILE adds a model.");
    line(to, "# model \"tally-tales\" {");
    for (size_t i = 0; i < ARRAY_COUNT(model_keys); i++)
        example_key(&model_keys[i], "#     ", line, to);
    line(to, "# }");
}
