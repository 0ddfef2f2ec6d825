/* Stacks of causal convolutions in int8, input by input: what LiteRT's reference kernels compute, to the bit. The twin
   is mhealth.dsp.Convolutions; tables are written by mhealth/export/_convolve.py.

   A layer keeps its latest inputs in a ring that is as long as its taps reach, and writes its outputs to the newest
   place of the next layer's ring: nothing is copied, and what a later layer adds still lies there. */
#ifndef MH_CONVOLVE_H
#define MH_CONVOLVE_H

#include <stdbool.h>

#include "mh_fixed.h"

typedef struct mh_convolution mh_convolution_t;

/* Writes the outputs of a layer; its oldest input starts at ring[oldest]. */
typedef void mh_convolve_kernel_t(const mh_convolution_t *layer, const int8_t *ring, uint32_t oldest, int8_t *out);

/* How the outputs of an earlier layer are added; entries stand for own outputs, for those of the other, for sums. */
typedef struct {
    int32_t multipliers[3];
    int8_t shifts[3];
    int8_t zero_points[3];
    int8_t low;
    int8_t high;
    uint8_t layer;
} mh_addition_t;

struct mh_convolution {
    mh_convolve_kernel_t *kernel;  /* mh_convolve_any, or one for layers of this shape */
    const int8_t *weights;         /* of four outputs at a time: by tap, the oldest first, by input, by output */
    const int32_t *bias;           /* less what the zero point of the inputs adds */
    const int32_t *multipliers;    /* of each output's sum, as mh_rescaled takes them */
    const int8_t *shifts;
    const mh_addition_t *addition; /* or NULL */
    uint32_t ring;                 /* where its ring starts in the memory */
    uint16_t ring_size;            /* bytes: ((n_taps - 1) * dilation + 1) * n_inputs */
    uint16_t run;                  /* bytes of a piece: a tap's inputs, or those of all taps if they lie side by side */
    uint16_t gap;                  /* bytes from a piece to the next one */
    uint16_t n_used;               /* n_taps * n_inputs */
    uint16_t n_inputs;
    uint16_t n_outputs;
    uint16_t skipped;              /* inputs before the one that completes the first output */
    uint16_t stride;
    int8_t silence;                /* zero point of the inputs */
    int8_t zero_point;             /* of the outputs, as are the bounds */
    int8_t low;
    int8_t high;
    bool rounded_once;             /* halves away from zero, as LiteRT does in dense layers; else twice */
};

typedef struct {
    const mh_convolution_t *layers;
    uint32_t output;    /* where the latest output lies in the memory, behind all rings */
    uint16_t n_layers;
    uint16_t n_outputs; /* of the last layer */
} mh_convolve_table_t;

/* Bytes of memory that a table asks for. */
#define MH_CONVOLVE_SIZE(table) ((table).output + (table).n_outputs)

typedef struct {
    uint16_t newest; /* where the newest input starts in the ring */
    uint16_t wait;   /* inputs to come before the one that completes the next output */
} mh_convolve_layer_t;

typedef struct {
    int8_t *memory;              /* the caller's: MH_CONVOLVE_SIZE(table) */
    mh_convolve_layer_t *layers; /* the caller's: n_layers */
} mh_convolve_state_t;

/* Before the first input. The caller has set both pointers. */
void mh_convolve_init(mh_convolve_state_t *state, const mh_convolve_table_t *table);

/* Take an input, one number for each of the first layer's inputs; return the output that it completes, or NULL.
   It stays where it is until the next one. */
const int8_t *mh_convolve_push(mh_convolve_state_t *state, const mh_convolve_table_t *table, const int8_t *input);

/* For layers of any shape. */
void mh_convolve_any(const mh_convolution_t *layer, const int8_t *ring, uint32_t oldest, int8_t *out);

/* mh_rescaled for numbers of which the table's writer knows that |value| * 2^shift + 2^(-shift) < 2^31: without
   branches on the way down, as there are many. */
static inline int32_t mh_convolve_rescaled(int32_t value, int32_t multiplier, int32_t shift)
{
    const int32_t raised = shift > 0 ? value * ((int32_t)1 << shift) : value;
    const int32_t high = (int32_t)(((int64_t)raised * multiplier + ((int64_t)1 << 30)) >> 31);
    if (shift >= 0) { return high; }
    return (high + ((int32_t)1 << (-shift - 1)) + (high >> 31)) >> -shift; /* halves away from zero */
}

/* The same, rounded once, halves away from zero; shift <= 30. */
static inline int32_t mh_convolve_rescaled_once(int32_t value, int32_t multiplier, int32_t shift)
{
    const int64_t product = (int64_t)mh_abs(value) * multiplier;
    const int32_t size = (int32_t)((product + ((int64_t)1 << (30 - shift))) >> (31 - shift));
    return value < 0 ? -size : size;
}

/* Multiply input i of a tap for four outputs: kernels for layers of one shape are written with this. */
#define MH_CONVOLVE_TAKE(i) \
    do { \
        const int32_t x = in[i]; \
        a += w[4 * (i)] * x; \
        b += w[4 * (i) + 1] * x; \
        c += w[4 * (i) + 2] * x; \
        d += w[4 * (i) + 3] * x; \
    } while (0)

/* Turn sums of products into the outputs from number `first` on, four at most. */
void mh_convolve_finish(const mh_convolution_t *layer, uint32_t first, const int32_t sums[4], int8_t *out);

#endif
