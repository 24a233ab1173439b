/* model_config.h - hyper-parameters out of metadata; private to model.c and model_config.c. */
#ifndef TALLYMESH_KERNELS_MODEL_CONFIG_H
#define TALLYMESH_KERNELS_MODEL_CONFIG_H

#include "kernels/model.h"

/* Fills everything but `tied`; codes and sentences as model_open(). */
enum err model_config_read(const struct gguf *g, struct model_config *out, struct fault *why) MUST_CHECK;

#endif
