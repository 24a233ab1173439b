/* tiny_engine.h - a random llama in memory and an engine on it, for the tests of the engine. */
#ifndef TALLYMESH_TESTS_KERNELS_TINY_ENGINE_H
#define TALLYMESH_TESTS_KERNELS_TINY_ENGINE_H

#include "kernels/engine.h"
#include "kernels/model.h"
#include "tests/gguf_writer.h"
#include "tests/test.h"

struct tiny_engine {
    struct bytes file;
    struct model model;
    struct engine *engine;
};

static inline void tiny_model_open(struct tiny_engine *t, const struct tiny_llama *spec)
{
    struct gguf g;
    struct fault why = { "" };
    t->engine = NULL;
    t->file = tiny_llama_write(spec);
    assert_ok(gguf_open(t->file, false, &g, &why));
    if (model_open(&g, &t->model, &why) != OK)
        fail_msg("%s", why.text);
    gguf_close(&g);
}

static inline void tiny_engine_open(struct tiny_engine *t, const struct engine_options *options)
{
    struct fault why = { "" };
    engine_close(t->engine);
    t->engine = NULL;
    if (engine_open(&t->model, options, &t->engine, &why) != OK)
        fail_msg("%s", why.text);
}

static inline void tiny_engine_close(struct tiny_engine *t)
{
    engine_close(t->engine);
    model_close(&t->model);
    gguf_writer_free(t->file);
}

#endif
