/* test_api.c - OpenAI requests as text: what is read, what is refused and with which words; what is answered. */
#include "tests/test.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "node/api_jansson.h"
#include "node/offer.h"

static enum err parse(const char *text, bool chat, struct api_request *r, struct api_fault *why) { return api_parse(bytes_text(text), chat, r, why); }

static void a_full_request_is_read(void **state)
{
    struct api_request r;
    struct api_fault why;
    (void)state;
    assert_ok(parse("{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
                    "{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":\"assistant\",\"content\":null}],\"temperature\":0.25,\"top_p\":0.5,\"top_k\":7,\"seed\":-1,"
                    "\"max_tokens\":9,\"stop\":[\"x\",\"yy\"],\"stream\":true,\"stream_options\":{\"include_usage\":true},\"unknown\":{\"a\":1}}", true, &r, &why));
    assert_string_equal(r.model, "m");
    assert_int_equal(r.message_count, 3);
    assert_true(bytes_equal(r.messages[1].content, bytes_text("ab")));
    assert_int_equal(r.messages[2].content.len, 0);
    assert_int_equal(r.temperature_micro, 250000);
    assert_int_equal(r.top_p_micro, 500000);
    assert_int_equal(r.top_k, 7);
    assert_true(r.has_seed && r.seed == UINT64_MAX);
    assert_true(r.stream && r.include_usage && r.has_output_max && r.output_max == 9 && r.stop_count == 2);
    api_request_fini(&r);
    assert_ok(parse("{\"model\":\"m\",\"prompt\":[1,2,3]}", false, &r, &why));
    assert_true(r.has_ids && r.id_count == 3 && r.ids[2] == 3 && r.temperature_micro == 1000000);
    api_request_fini(&r);
    assert_ok(parse("{\"model\":\"m\",\"prompt\":\"p\",\"temperature\":0.001,\"top_p\":0}", false, &r, &why));
    assert_true(r.temperature_micro == 10000 && r.top_p_micro == 1);
    api_request_fini(&r);
}

static void refusals_name_the_field(void **state)
{
    static const struct { const char *fields, *param; } table[] = {
        { "\"temperature\":\"hot\"", "temperature" }, { "\"temperature\":2.5", "temperature" }, { "\"top_p\":-1", "top_p" },
        { "\"n\":2", "n" }, { "\"max_tokens\":0", "max_tokens" }, { "\"max_tokens\":1.5", "max_tokens" }, { "\"stop\":5", "stop" },
        { "\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]", "stop" }, { "\"stop\":\"\"", "stop" }, { "\"stop\":\"\\u0000\"", "stop" }, { "\"stream\":1", "stream" },
        { "\"logprobs\":true", "logprobs" }, { "\"tools\":[{}]", "tools" }, { "\"presence_penalty\":0.5", "presence_penalty" },
        { "\"response_format\":{\"type\":\"json_object\"}", "response_format" }, { "\"seed\":1.5", "seed" }, { "\"logit_bias\":{\"1\":2}", "logit_bias" },
        { "\"stream_options\":1", "stream_options" },
    };
    struct api_request r;
    struct api_fault why;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        char text[400];
        snprintf(text, sizeof text, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],%s}", table[i].fields);
        assert_err(parse(text, true, &r, &why), ERR_FORMAT);
        assert_int_equal(why.status, 400);
        assert_string_equal(why.param, table[i].param);
        assert_non_null(strstr(why.message, table[i].param));
    }
}

static void hostile_bodies_are_refused(void **state)
{
    static const char *const bodies[] = {
        "", "{", "[]", "nul", "{\"model\":\"m\",\"model\":\"n\",\"messages\":[{\"role\":\"user\",\"content\":\"\"}]}", "{\"messages\":[]}",
        "{\"model\":\"\",\"messages\":[{\"role\":\"user\"}]}", "{\"model\":\"m\"}", "{\"model\":\"m\",\"messages\":{}}", "{\"model\":\"m\",\"messages\":[1]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"wizard\",\"content\":\"\"}]}", "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":{}}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}", "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}",
    };
    struct api_request r;
    struct api_fault why;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bodies); i++) {
        assert_err(parse(bodies[i], true, &r, &why), ERR_FORMAT);
        char *json = api_error_json(&why);
        json_t *j = json_loads(json, 0, NULL);
        assert_non_null(json_string_value(json_object_get(json_object_get(j, "error"), "message")));
        json_decref(j);
        free(json);
    }
}

static void answers_have_openais_shape(void **state)
{
    struct api_answer a = { .chat = true, .id = "chatcmpl-1", .model = "m", .finish = "stop", .created = 7, .fingerprint = "nv1-0" };
    struct api_usage u = { .tokens_in = 3, .tokens_out = 4, .cost_pico = UINT64_MAX, .job = "ab", .receipt_count = 1 };
    (void)state;
    char *text = api_answer_json(&a, bytes_text("h\"i"), &u);
    json_t *j = json_loads(text, 0, NULL), *choice = json_array_get(json_object_get(j, "choices"), 0);
    assert_string_equal(json_string_value(json_object_get(json_object_get(choice, "message"), "content")), "h\"i");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(j, "usage"), "total_tokens")), 7);
    assert_string_equal(json_string_value(json_object_get(json_object_get(json_object_get(j, "usage"), "tally"), "cost_pico")), "18446744073709551615");
    json_decref(j);
    free(text);
    a.finish = NULL;
    text = api_chunk_text(&a, bytes_text("x"));
    j = json_loads(text, 0, NULL);
    choice = json_array_get(json_object_get(j, "choices"), 0);
    assert_string_equal(json_string_value(json_object_get(j, "object")), "chat.completion.chunk");
    assert_true(json_is_null(json_object_get(choice, "finish_reason")));
    json_decref(j);
    free(text);
}

/* Every error there is, as a client sees it: nothing falls through to a bare 500. */
static void every_error_has_its_status(void **state)
{
    static const struct { enum err err; unsigned status; const char *type, *code; } table[] = {
        { ERR_RATE, 429, "rate_limit_error", "rate_limit_exceeded" }, { ERR_QUOTA, 429, "rate_limit_error", "rate_limit_exceeded" },
        { ERR_CREDIT, 429, "rate_limit_error", "credit_limit" }, { ERR_UNAVAILABLE, 503, "server_error", "unavailable" },
        { ERR_CANCELLED, 503, "server_error", "provider_lost" }, { ERR_PEER_GONE, 503, "server_error", "provider_lost" },
        { ERR_STATE, 503, "server_error", "no_eligible_provider" }, { ERR_PRICE, 503, "server_error", "no_eligible_provider" },
        { ERR_FULL, 503, "server_error", "no_capacity" }, { ERR_TIMEOUT, 503, "server_error", "timeout" },
        { ERR_NO_PROVIDER, 404, "not_found_error", "model_not_found" }, { ERR_CONTEXT, 400, "invalid_request_error", "context_length_exceeded" },
        { ERR_ARG, 400, "invalid_request_error", "invalid_value" }, { ERR_TOO_LARGE, 413, "invalid_request_error", "too_large" },
        { ERR_MISMATCH, 502, "server_error", "bad_provider" }, { ERR_SIGNATURE, 502, "server_error", "bad_provider" },
        { ERR_FORMAT, 502, "server_error", "bad_provider" }, { ERR_DEVICE, 500, "server_error", "engine_failed" },
        { ERR_DISK_FULL, 500, "server_error", "internal_error" }, { ERR_MEMORY, 500, "server_error", "internal_error" },
    };
    struct api_fault f;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        api_fault_of(table[i].err, NULL, &f);
        if (f.status != table[i].status || strcmp(f.type, table[i].type) != 0 || !f.code || strcmp(f.code, table[i].code) != 0)
            fail_msg("%s: %u %s %s", err_name(table[i].err), f.status, f.type, f.code ? f.code : "null");
    }
    for (int e = 0; e < ERR_COUNT; e++) {
        api_fault_of((enum err)e, NULL, &f);
        char *text = api_error_json(&f);
        json_t *j = json_loads(text, 0, NULL), *error = json_object_get(j, "error");
        assert_true(f.status >= 400 && f.status < 600);
        assert_string_equal(json_string_value(json_object_get(error, "message")), err_text((enum err)e));
        assert_non_null(json_string_value(json_object_get(error, "type")));
        assert_non_null(json_string_value(json_object_get(error, "code")));
        assert_true(json_is_null(json_object_get(error, "param")));
        json_decref(j);
        free(text);
    }
}

/* What a provider may answer is somebody's fault, but never an error inside this node. */
static void no_refusal_of_a_provider_is_our_failure(void **state)
{
    (void)state;
    for (int r = DECLINE_NONE + 1; r < DECLINE_COUNT; r++) {
        struct api_fault f;
        api_fault_of(decline_err((enum decline_reason)r), NULL, &f);
        assert_true(f.status != 500);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_request_is_read), cmocka_unit_test(refusals_name_the_field), cmocka_unit_test(hostile_bodies_are_refused),
        cmocka_unit_test(answers_have_openais_shape), cmocka_unit_test(every_error_has_its_status),
        cmocka_unit_test(no_refusal_of_a_provider_is_our_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
