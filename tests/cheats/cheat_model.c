/* cheat_model.c - a provider that sells one model and runs another: $CHEAT_MODEL, of the same shape and vocabulary.
 *
 * Linked with --wrap=worker_open. With a file of other weights it is the cheaper-model fraud; with the same weights in
 * another quantisation the tokens may even be the same, and only the digests over the head's input tell.
 */
#include <stdio.h>
#include <stdlib.h>

#include "kernels/modelfile_posix.h"
#include "node/worker_thread.h"

enum err __real_worker_open(const struct model *model, const struct worker_options *o, struct worker **out);
enum err __wrap_worker_open(const struct model *model, const struct worker_options *o, struct worker **out);

enum err __wrap_worker_open(const struct model *model, const struct worker_options *o, struct worker **out)
{
    static struct modelfile file;
    static struct gguf gguf;
    static struct model other;
    struct fault why = { { 0 } };
    (void)model;
    if (modelfile_open(getenv("CHEAT_MODEL"), &file, &why) != OK || gguf_open(file.bytes, false, &gguf, &why) != OK ||
        model_open(&gguf, &other, &why) != OK) {
        fprintf(stderr, "cheat_model: %s\n", why.text);
        exit(78);
    }
    return __real_worker_open(&other, o, out);
}
