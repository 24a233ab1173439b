/* ops_amx.h - the operations of NV1 with AVX-512, VNNI and AMX. Only where the processor has them all and the system
 * lets us (backend.c asks).
 */
#ifndef TALLYMESH_KERNELS_OPS_AMX_H
#define TALLYMESH_KERNELS_OPS_AMX_H

#include "kernels/ops.h"

extern const struct ops ops_amx;

#endif
