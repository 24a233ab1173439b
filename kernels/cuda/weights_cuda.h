/* weights_cuda.h - how do the weights get from the model file onto the device?
 *
 * Once, packed on the way (pack.h) by a few threads, through two halves of pinned memory: one is packed while the
 * other travels. The file's pages are given back when they are through, but for token_embd: rows of that are read
 * from the file whenever a token needs one.
 *
 * Owns:    device memory for all matrices and norms.
 * Threads: one caller; packing is spread over the pool handed in.
 */
#ifndef TALLYMESH_KERNELS_CUDA_WEIGHTS_CUDA_H
#define TALLYMESH_KERNELS_CUDA_WEIGHTS_CUDA_H

#include "crypto/base.h"
#include "kernels/cuda/matrix.h"
#include "kernels/model.h"

struct pool;

struct cuda_layer {
    const float *attn_norm, *ffn_norm;
    struct cuda_matrix attn_q, attn_k, attn_v, attn_output, ffn_gate, ffn_up, ffn_down;
};

struct cuda_weights {
    struct cuda_layer *layers;
    const float *output_norm;
    struct cuda_matrix head;
    void *block;                         /* device memory: everything above points into it */
};

/* Bytes of device memory; 0: a matrix has a type that no kernel takes. */
uint64_t weights_bytes(const struct model *model);
/* ERR_MEMORY, ERR_UNSUPPORTED; ERR_DEVICE: the device is lost. On failure nothing is held. */
enum err weights_upload(struct cuda_weights *w, const struct model *model, struct pool *pool,
                        struct CUstream_st *stream, struct fault *why) MUST_CHECK;
void weights_free(struct cuda_weights *w);

#endif
