/* backend.c - which backends this machine can run, and the choice among them. */
#include "kernels/backend.h"

#include <string.h>

#include "kernels/conformance.h"
#include "kernels/exact_math.h"

#if defined(TM_X86_BACKENDS)
#include <cpuid.h>

#include "kernels/amx_posix.h"
#include "kernels/ops_amx.h"
#include "kernels/ops_avx2.h"
#include "kernels/ops_avx512.h"

static bool has_avx2(void)
{
    /* F16C by hand: clang's builtin does not know the name. The builtin for AVX2 also asks whether the system saves the
     * registers, which is all that F16C needs besides. */
    unsigned a, b, c = 0, d;
    bool f16c = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
    return f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

#if defined(TM_AVXVNNI)
static bool has_avxvnni(void)
{
    unsigned a = 0, b, c, d;
    return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
}
#endif

static bool has_avx512vnni(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
}

static bool has_amx(void) { return has_avx512vnni() && amx_usable(); }
#endif

#if defined(TM_ARM_BACKENDS)
#include "kernels/cpu_posix.h"
#include "kernels/ops_neon.h"
#endif

static bool always(void) { return true; }

/* Best first. */
static const struct {
    const struct ops *ops;
    bool (*runs_here)(void);
} BACKENDS[] = {
#if defined(TM_X86_BACKENDS)
    { &ops_amx, has_amx },
    { &ops_avx512, has_avx512vnni },
#if defined(TM_AVXVNNI)
    { &ops_avxvnni, has_avxvnni },
#endif
    { &ops_avx2, has_avx2 },
#endif
#if defined(TM_ARM_BACKENDS)
    { &ops_neondot, cpu_has_dotprod },
    { &ops_neon, always },
#endif
    { &ops_ref, always },
};

const struct ops *backend_at(size_t i)
{
    for (size_t k = 0; k < ARRAY_COUNT(BACKENDS); k++)
        if (BACKENDS[k].runs_here() && i-- == 0)
            return BACKENDS[k].ops;
    return NULL;
}

const struct ops *backend_find(const char *name)
{
    for (size_t i = 0; backend_at(i); i++)
        if (!name || strcmp(backend_at(i)->name, name) == 0)
            return backend_at(i);
    return NULL;
}

enum err backend_self_test(const struct ops *ops)
{
    if (numerics_check_fpu() != OK)
        return ERR_DEVICE;
    for (int c = 0; c < CONFORMANCE_COUNT; c++)
        if (conformance_digest(ops, (enum conformance_case)c) != conformance_expected((enum conformance_case)c))
            return ERR_DEVICE;
    return OK;
}
