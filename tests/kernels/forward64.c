/* forward64.c - the same network in float64, written apart from the engine. */
#include "tests/kernels/forward64.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double half_value(const uint8_t *p)
{
    int bits = p[0] | p[1] << 8, exponent = bits >> 10 & 31, fraction = bits & 1023;
    double v = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return bits & 0x8000 ? -v : v;
}

static double weight(const struct tensor *t, size_t row, size_t col)
{
    if (t->type == TENSOR_Q8_0) {
        const uint8_t *block = t->data + (row * t->extents[0] + col) / 32 * 34;
        return half_value(block) * (double)(int8_t)block[2 + col % 32];
    }
    size_t at = row * t->extents[0] + col;
    if (t->type == TENSOR_F16)
        return half_value(t->data + at * 2);
    float f;
    memcpy(&f, t->data + at * 4, 4);
    return (double)f;
}

static void multiply(const struct tensor *t, const double *x, double *y)
{
    for (size_t r = 0; r < t->extents[1]; r++) {
        y[r] = 0;
        for (size_t c = 0; c < t->extents[0]; c++)
            y[r] += weight(t, r, c) * x[c];
    }
}

static void norm(const struct tensor *w, const double *x, double eps, double *y)
{
    size_t n = w->extents[0];
    double ss = 0;
    for (size_t i = 0; i < n; i++)
        ss += x[i] * x[i];
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] / sqrt(ss / (double)n + eps) * weight(w, 0, i);
}

static void rotate(const struct model *m, double *v, uint32_t heads, uint32_t position)
{
    const struct model_config *c = &m->config;
    for (uint32_t h = 0; h < heads; h++)
        for (uint32_t i = 0; i < c->rope_dims / 2; i++) {
            double *p = v + (size_t)h * c->head_dim + 2 * (size_t)i;
            double divisor = m->rope_freqs.data ? weight(&m->rope_freqs, 0, i) : 1;
            double angle = position / (double)c->rope_factor / divisor / pow((double)c->rope_base, 2.0 * i / c->rope_dims);
            double a = p[0], b = p[1];
            p[0] = a * cos(angle) - b * sin(angle);
            p[1] = a * sin(angle) + b * cos(angle);
        }
}

static double *doubles(size_t n)
{
    double *p = calloc(n, sizeof *p);
    ENSURE(p);
    return p;
}

/* One query head over positions 0..at. */
static void attend(const struct model_config *c, const double *q, const double *k, const double *v, uint32_t at,
                   double *out)
{
    size_t kv_dim = (size_t)c->kv_heads * c->head_dim;
    double *s = doubles(at + 1u), max = -INFINITY, sum = 0;
    for (uint32_t j = 0; j <= at; j++) {
        for (uint32_t i = 0; i < c->head_dim; i++)
            s[j] += q[i] * k[j * kv_dim + i] / sqrt((double)c->head_dim);
        max = fmax(max, s[j]);
    }
    for (uint32_t j = 0; j <= at; j++)
        sum += exp(s[j] - max);
    for (uint32_t i = 0; i < c->head_dim; i++) {
        out[i] = 0;
        for (uint32_t j = 0; j <= at; j++)
            out[i] += exp(s[j] - max) / sum * v[j * kv_dim + i];
    }
    free(s);
}

struct scratch {
    double *x, *n, *q, *o, *y, *gate, *up;
};

static void layer(const struct model *m, const struct model_layer *l, struct scratch *s, double *k, double *v,
                  uint32_t at)
{
    const struct model_config *c = &m->config;
    size_t kv_dim = (size_t)c->kv_heads * c->head_dim;
    norm(&l->attn_norm, s->x, (double)c->rms_eps, s->n);
    multiply(&l->attn_q, s->n, s->q);
    multiply(&l->attn_k, s->n, k + at * kv_dim);
    multiply(&l->attn_v, s->n, v + at * kv_dim);
    rotate(m, s->q, c->heads, at);
    rotate(m, k + at * kv_dim, c->kv_heads, at);
    for (uint32_t h = 0; h < c->heads; h++) {
        size_t group = (size_t)(h / (c->heads / c->kv_heads)) * c->head_dim;
        attend(c, s->q + (size_t)h * c->head_dim, k + group, v + group, at, s->o + (size_t)h * c->head_dim);
    }
    multiply(&l->attn_output, s->o, s->y);
    for (uint32_t i = 0; i < c->dim; i++)
        s->x[i] += s->y[i];
    norm(&l->ffn_norm, s->x, (double)c->rms_eps, s->n);
    multiply(&l->ffn_gate, s->n, s->gate);
    multiply(&l->ffn_up, s->n, s->up);
    for (uint32_t i = 0; i < c->ffn_dim; i++)
        s->gate[i] = s->gate[i] / (1 + exp(-s->gate[i])) * s->up[i];
    multiply(&l->ffn_down, s->gate, s->y);
    for (uint32_t i = 0; i < c->dim; i++)
        s->x[i] += s->y[i];
}

void forward64(const struct model *m, const uint32_t *tokens, uint32_t n, double *logits)
{
    const struct model_config *c = &m->config;
    size_t q_dim = (size_t)c->heads * c->head_dim, kv_dim = (size_t)c->kv_heads * c->head_dim;
    struct scratch s = { doubles(c->dim), doubles(c->dim), doubles(q_dim), doubles(q_dim), doubles(c->dim),
                         doubles(c->ffn_dim), doubles(c->ffn_dim) };
    double *k = doubles(c->layers * n * kv_dim), *v = doubles(c->layers * n * kv_dim);
    for (uint32_t at = 0; at < n; at++) {
        for (uint32_t i = 0; i < c->dim; i++)
            s.x[i] = weight(&m->token_embd, tokens[at], i);
        for (uint32_t l = 0; l < c->layers; l++)
            layer(m, &m->layers[l], &s, k + l * n * kv_dim, v + l * n * kv_dim, at);
        norm(&m->output_norm, s.x, (double)c->rms_eps, s.n);
        multiply(c->tied ? &m->token_embd : &m->output, s.n, logits + (size_t)at * c->vocab);
    }
    double *all[] = { s.x, s.n, s.q, s.o, s.y, s.gate, s.up, k, v };
    for (size_t i = 0; i < ARRAY_COUNT(all); i++)
        free(all[i]);
}

double kl_divergence(const double *a, const float *b, uint32_t n)
{
    double max_a = -INFINITY, max_b = -INFINITY, sum_a = 0, sum_b = 0, kl = 0;
    for (uint32_t i = 0; i < n; i++) {
        max_a = fmax(max_a, a[i]);
        max_b = fmax(max_b, (double)b[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        sum_a += exp(a[i] - max_a);
        sum_b += exp((double)b[i] - max_b);
    }
    for (uint32_t i = 0; i < n; i++) {
        double log_p = a[i] - max_a - log(sum_a), log_q = (double)b[i] - max_b - log(sum_b);
        kl += exp(log_p) * (log_p - log_q);
    }
    return kl;
}

double relative_rms(const double *a, const float *b, uint32_t n)
{
    double mean = 0, mean_a = 0, error = 0, power = 0;
    for (uint32_t i = 0; i < n; i++) {
        mean += ((double)b[i] - a[i]) / n;
        mean_a += a[i] / n;
    }
    for (uint32_t i = 0; i < n; i++) {
        error += ((double)b[i] - a[i] - mean) * ((double)b[i] - a[i] - mean);
        power += (a[i] - mean_a) * (a[i] - mean_a);
    }
    return sqrt(error / power);
}
