/* Stacks of causal convolutions in int8, input by input: what LiteRT's reference kernels compute, to the bit. The twin
   is mhealth.dsp.Convolutions; tables are written by mhealth/export/_convolve.py.

   A layer keeps its latest inputs in a ring that is as long as its taps reach, and writes its outputs to the newest
   place of the next layer's ring: nothing is copied, and what a later layer adds still lies there. */
#ifndef MH_CONVOLVE_H
#define MH_CONVOLVE_H

#include <stdbool.h>

#include "mh_fixed.h"

typedef struct mh_convolution mh_convolution_t;

/* Adds the products of a layer's inputs, of which the oldest starts at ring[oldest], and of the weights of four outputs;
   returns where the weights of the next four are. */
typedef const uint32_t *mh_convolve_kernel_t(
    const mh_convolution_t *layer, const int8_t *ring, uint32_t oldest, const uint32_t *w, int32_t sums[4]);

/* How the outputs of an earlier layer are added. Those of the larger scale, the wide ones, count half, exactly; the
   others, the narrow ones, and the sums are rescaled. */
typedef struct {
    int32_t narrow;      /* multipliers */
    int32_t sum;
    int8_t narrow_shift; /* to the right */
    int8_t sum_shift;    /* to the right, at least by one */
    int8_t wide_zero;
    int8_t narrow_zero;
    int8_t sum_zero;
    int8_t low;
    int8_t high;
    uint8_t layer;
    bool own_is_wide;
} mh_addition_t;

/* How a layer's sums of products become outputs. */
typedef enum {
    MH_CONVOLVE_DOWN, /* as mh_rescaled does, all shifts to the right */
    MH_CONVOLVE_ANY,  /* as mh_rescaled does */
    MH_CONVOLVE_ONCE  /* rounded once, halves away from zero, as LiteRT does in dense layers */
} mh_convolve_rounding_t;

struct mh_convolution {
    mh_convolve_kernel_t *kernel;  /* mh_convolve_any, or one for layers of this shape */
    const uint32_t *weights;       /* of four outputs at a time: by tap, the oldest first, by input; see the macros */
    const int32_t *bias;           /* less what the zero point of the inputs adds */
    const int32_t *multipliers;    /* of the sums, as mh_rescaled takes them */
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
    uint8_t rounding;              /* mh_convolve_rounding_t */
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

/* For layers of any shape: a word holds an input's weights of four outputs, the first lowest. */
mh_convolve_kernel_t mh_convolve_any;

/* What kernels for layers of one shape are made of: the products of inputs i and i + 1 of a tap at `in`, added to a, b,
   c and d. A word holds the weights of two outputs, 2^16 second + first, so that one multiplication does for both. Two
   such products have a sum of 16 bits for each output if no two weights together exceed 255; b and d take the upper
   halves, a and c whole words, so that MH_CONVOLVE_END is left to take the upper halves from them. */
#define MH_CONVOLVE_TAKE_TWO(i) \
    do { \
        int32_t x = in[i], y = in[(i) + 1]; \
        int32_t p = (int32_t)w[2 * (i)], q = (int32_t)w[2 * (i) + 1]; \
        int32_t r = (int32_t)w[2 * (i) + 2], s = (int32_t)w[2 * (i) + 3]; \
        MH_CONVOLVE_LOADED(x, y, p, q, r, s); \
        p = p * x + r * y; \
        q = q * x + s * y; \
        a += (uint32_t)p; \
        b += (p + 0x8000) >> 16; \
        c += (uint32_t)q; \
        d += (q + 0x8000) >> 16; \
        MH_CONVOLVE_SUMMED(a, b, c, d); \
    } while (0)

/* The same for input i alone, the last of an odd number. */
#define MH_CONVOLVE_TAKE_ONE(i) \
    do { \
        const int32_t x = in[i], p = (int32_t)w[2 * (i)] * x, q = (int32_t)w[2 * (i) + 1] * x; \
        a += (uint32_t)p; \
        b += (p + 0x8000) >> 16; \
        c += (uint32_t)q; \
        d += (q + 0x8000) >> 16; \
        MH_CONVOLVE_SUMMED(a, b, c, d); \
    } while (0)

#define MH_CONVOLVE_START uint32_t a = 0, c = 0; int32_t b = 0, d = 0

#define MH_CONVOLVE_END \
    do { \
        sums[0] = (int32_t)(a - ((uint32_t)b << 16)); \
        sums[1] = b; \
        sums[2] = (int32_t)(c - ((uint32_t)d << 16)); \
        sums[3] = d; \
    } while (0)

/* A Cortex-M3 loads in half the time what is loaded together, and has registers for little more than the sums: keep the
   compiler from putting off loads and additions. */
#ifdef __GNUC__
#define MH_CONVOLVE_LOADED(x, y, p, q, r, s) \
    __asm__ volatile("" : "+r"(x), "+r"(y), "+r"(p), "+r"(q), "+r"(r), "+r"(s))
#define MH_CONVOLVE_SUMMED(a, b, c, d) __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d))
#else
#define MH_CONVOLVE_LOADED(x, y, p, q, r, s) ((void)0)
#define MH_CONVOLVE_SUMMED(a, b, c, d) ((void)0)
#endif

#endif
