/* test_config.c - every key by file, environment and flag; every refusal names its line. */
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/config.h"

static const char *write_temp(const char *text)
{
    static char path[] = "/tmp/tally-config-XXXXXX";
    memcpy(path + sizeof path - 7, "XXXXXX", 6);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

static enum err load(struct config *c, const char *text, struct config_fault *why)
{
    const char *path = write_temp(text);
    memset(why, 0, sizeof *why);
    config_defaults(c);
    enum err e = config_load(c, path, why);
    unlink(path);
    return e;
}

static void file_sets_keys_and_models(void **state)
{
    struct config c;
    struct config_fault why;
    (void)state;
    assert_ok(load(&c, "network = \"lab\"\nlisten {\n port = 99\n}\nmodel \"m\" {\n path = \"/x.gguf\"\n price_output = 1.5\n}\n"
                       "provider {\n credit_limit = 0.000000000001\n tier = \"factory\"\n}\n", &why));
    assert_string_equal(c.network, "lab");
    assert_int_equal(c.listen_port, 99);
    assert_int_equal(c.model_count, 1);
    assert_true(c.models[0].price_output == 1500000);
    assert_true(c.models[0].price_input == 50000);     /* the default of a model's key */
    assert_true(c.credit_limit_pico == 1);
    assert_int_equal(c.tier, 2);
    assert_ok(config_validate(&c, &why));
}

static void refusals_name_file_line_and_wish(void **state)
{
    static const struct { const char *text, *says; } table[] = {
        { "network = \"x\"\nlisten {\n port = 99999\n}\n", ":3: listen.port: \"99999\" is not a TCP port" },
        { "network = \"two words\"\n", ":1: network: \"two words\" is not a word" },
        { "\n\nnonsense = 1\n", ":3: no such option 'nonsense'" },
        { "bootstrap = {\"http://x\"}\n", "is not a bootstrap string" },
        { "provider {\n jurisdiction = \"de\"\n}\n", ":2: provider.jurisdiction" },
        { "provider {\n tier = \"moon\"\n}\n", "edge, regional or factory" },
        { "model \"m\" {\n price_output = 1.0000001\n}\n", "decimal number" },
        { "model \"m\" {\n slots = 65\n}\n", "within range" },
        { "model \"m\" {\n price_output = 1000.000001\n}\n", ":2: model.price_output: \"1000.000001\" is not a price that the protocol can carry: at most 1000 credits" },
        { "model \"m\" {\n price_input = 2000\n}\n", "at most 1000 credits" },
        { "model \"m\" {\n price_cached = 2000\n}\n", "at most 1000 credits" },
        { "log {\n level = \"loud\n", "" },             /* an unfinished string */
        { "provider {\n jurisdiction = \"GERMANY\"\n}\n", "two capital letters of a country (ISO 3166), for instance DE" },
        { "provider {\n jurisdiction = \"germany\"\n}\n", "two capital letters of a country" },
        { "listen {\n host = \"foo\"\n}\n", ":2: listen.host: \"foo\" is not an IPv4 or IPv6 address" },
        { "network = \"x\"\nlisten {\n port = 1\n", "ends inside \"listen {\": a closing brace is missing" },
        { "listen {", "ends inside \"listen {\"" },
        { "model \"m\" {\n path = \"/x\"\n", "ends inside \"model {\"" },
        { "model \"two words\" {\n}\n", "not a short name" },
        { "api {\n key_file =\x18\"\"\n}\n", ": a line is not \"key = value\"" },
    };
    struct config c;
    struct config_fault why;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        assert_err(load(&c, table[i].text, &why), ERR_CONFIG);
        if (!strstr(why.text, table[i].says))
            fail_msg("\"%s\" does not say \"%s\"", why.text, table[i].says);
    }
    config_defaults(&c);
    assert_err(config_load(&c, "/nonexistent/tallyd.conf", &why), ERR_IO);
}

static char *fake_environment(const char *name)
{
    if (strcmp(name, "TALLY_LISTEN_PORT") == 0)
        return (char *)(uintptr_t)"7777";
    return strcmp(name, "TALLY_NETWORK") == 0 ? (char *)(uintptr_t)"from-environment" : NULL;
}

static char *bad_environment(const char *name) { return strcmp(name, "TALLY_API_PORT") == 0 ? (char *)(uintptr_t)"x" : NULL; }

static void environment_overrides_file_and_flags_override_both(void **state)
{
    struct config c;
    struct config_fault why;
    (void)state;
    assert_ok(load(&c, "network = \"file\"\nlisten {\n port = 1\n}\n", &why));
    assert_ok(config_environment(&c, fake_environment, &why));
    assert_string_equal(c.network, "from-environment");
    assert_int_equal(c.listen_port, 7777);
    assert_ok(config_set(&c, "listen.port", "8888", &why));
    assert_int_equal(c.listen_port, 8888);
    assert_err(config_set(&c, "listen.prt", "1", &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "listen.prt"));
    assert_err(config_environment(&c, bad_environment, &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "TALLY_API_PORT"));
}

static void keys_of_models_can_be_set_one_by_one(void **state)
{
    struct config c;
    struct config_fault why;
    (void)state;
    assert_ok(load(&c, "model \"a.b-1\" {\n path = \"/m\"\n slots = 2\n}\n", &why));
    assert_ok(config_set(&c, "model.a.b-1.price_output", "0.5", &why));
    assert_int_equal(c.model_count, 1);
    assert_int_equal(c.models[0].price_output, 500000);
    assert_int_equal(c.models[0].slots, 2);
    assert_ok(config_set(&c, "model.new.path", "/n", &why));    /* another one, with defaults */
    assert_int_equal(c.model_count, 2);
    assert_string_equal(c.models[1].path, "/n");
    assert_int_equal(c.models[1].slots, 4);
    assert_ok(config_validate(&c, &why));
    static const char *const wrong[] = { "model.", "model.x", "model..slots", "model.new.", "model.new.slot", "model.a b.slots", "model.new.slots.x" };
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct config before = c;
        assert_err(config_set(&c, wrong[i], "1", &why), ERR_CONFIG);
        assert_true(strncmp(why.text, "model", 5) == 0);
        assert_memory_equal(&before, &c, sizeof c);
    }
    assert_err(config_set(&c, "model.new.slots", "many", &why), ERR_CONFIG);
}

static void relations_are_checked(void **state)
{
    struct config c;
    struct config_fault why;
    (void)state;
    config_defaults(&c);
    assert_ok(config_validate(&c, &why));
    assert_ok(config_set(&c, "api.host", "0.0.0.0", &why));
    assert_err(config_validate(&c, &why), ERR_CONFIG);
    assert_ok(config_set(&c, "api.key_file", "/etc/key", &why));
    assert_ok(config_validate(&c, &why));
    assert_ok(config_set(&c, "log.format", "xml", &why));
    assert_err(config_validate(&c, &why), ERR_CONFIG);
    config_defaults(&c);
    assert_ok(config_set_model(&c, "m", "slots", "2", &why));
    assert_err(config_validate(&c, &why), ERR_CONFIG);         /* no path */
    assert_ok(load(&c, "model \"m\" { }\n", &why));
    assert_err(config_validate(&c, &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "model \"m\": path is missing"));
}

static void append(void *to, const char *text)
{
    strcat(to, text);                                  /* the buffer is far larger than the example */
    strcat(to, "\n");
}

static void the_printed_example_is_the_defaults(void **state)
{
    static char text[65536];
    struct config a, b;
    struct config_fault why;
    struct config_key keys[64];
    (void)state;
    text[0] = 0;
    config_example(append, text);
    assert_ok(load(&a, text, &why));
    config_defaults(&b);
    assert_memory_equal(&a, &b, sizeof a);
    uint32_t n = config_keys(keys, 64);
    assert_in_range(n, 30, 63);
    for (uint32_t i = 0; i < n; i++)
        assert_non_null(strstr(text, keys[i].key));
}

static void decimals_are_exact(void **state)
{
    static const struct { const char *text; unsigned decimals; enum err err; uint64_t value; } table[] = {
        { "0", 6, OK, 0 }, { "1", 6, OK, 1000000 }, { "0.25", 6, OK, 250000 }, { "0.000001", 6, OK, 1 }, { ".5", 1, OK, 5 },
        { "0.0000001", 6, ERR_FORMAT, 0 }, { "", 6, ERR_FORMAT, 0 }, { ".", 6, ERR_FORMAT, 0 }, { "-1", 6, ERR_FORMAT, 0 },
        { "1e3", 6, ERR_FORMAT, 0 }, { "1.2.3", 6, ERR_FORMAT, 0 }, { "18446744073709551615", 0, OK, UINT64_MAX },
        { "18446744073709551616", 0, ERR_OVERFLOW, 0 }, { "18446744073709.551616", 6, ERR_OVERFLOW, 0 }, { "99999999999999999999", 0, ERR_OVERFLOW, 0 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        uint64_t v = 0;
        assert_err(decimal_parse(table[i].text, table[i].decimals, &v), table[i].err);
        if (table[i].err == OK)
            assert_true(v == table[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_sets_keys_and_models), cmocka_unit_test(refusals_name_file_line_and_wish),
        cmocka_unit_test(environment_overrides_file_and_flags_override_both), cmocka_unit_test(keys_of_models_can_be_set_one_by_one), cmocka_unit_test(relations_are_checked),
        cmocka_unit_test(the_printed_example_is_the_defaults), cmocka_unit_test(decimals_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
