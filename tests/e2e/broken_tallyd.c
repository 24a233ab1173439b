/* broken_tallyd.c - tallyd on a machine whose engine does not open; the rest is tallyd's own code. */
#include "kernels/engine.h"

enum err __wrap_engine_open(const struct model *m, const struct engine_options *o, struct engine **out, struct fault *why);

enum err __wrap_engine_open(const struct model *m, const struct engine_options *o, struct engine **out, struct fault *why)
{
    (void)m;
    (void)o;
    (void)out;
    return fault_set(why, ERR_DEVICE, "the engine does not open");
}
