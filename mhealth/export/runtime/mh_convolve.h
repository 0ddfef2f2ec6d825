/* Stacks of causal convolutions in int8, input by input: what LiteRT's reference kernels compute, to the bit. The twin
   is mhealth.dsp.Convolutions; tables are written by mhealth/export/_convolve.py.

   A layer keeps its latest inputs in a ring that is as long as its taps reach, and writes its outputs to the newest
   place of the next layer's ring: nothing is copied, and what a later layer adds still lies there. Inputs that nobody
   comes back to, those of a single tap, lie where those of other such layers lie. */
#ifndef MH_CONVOLVE_H
#define MH_CONVOLVE_H

#include <stdbool.h>

#include "mh_fixed.h"

typedef struct mh_convolution mh_convolution_t;

/* Taps of a layer, at most. */
#define MH_CONVOLVE_TAPS 16

/* Inputs that lie side by side. */
typedef struct {
    const int8_t *in;
    uint32_t count;
} mh_convolve_piece_t;

/* Writes the sums of the products of a layer's inputs, from the oldest on, and of the weights of four outputs; returns
   where the weights of the next four are. A piece of no inputs follows the last one. */
typedef const uint32_t *mh_convolve_kernel_t(const mh_convolve_piece_t *pieces, const uint32_t *w, int32_t sums[4]);

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
    uint8_t layer;
    bool own_is_wide;
} mh_addition_t;

/* How the sums of an output are rescaled: multiplier and shift as mh_rescaled takes them. */
typedef struct {
    int32_t bias_and_shift; /* 64 * bias + shift + 32; the bias is less what the zero point of the inputs adds */
    int32_t multiplier;
} mh_channel_t;

/* How a layer's sums of products become outputs. */
typedef enum {
    MH_CONVOLVE_DOWN, /* as mh_rescaled does, all shifts to the right, and no bounds but those of int8 */
    MH_CONVOLVE_ANY,  /* as mh_rescaled does */
    MH_CONVOLVE_ONCE  /* rounded once, halves away from zero, as LiteRT does in dense layers */
} mh_convolve_rounding_t;

struct mh_convolution {
    mh_convolve_kernel_t *kernel; /* mh_convolve_any, or one for layers of this shape */
    uint32_t ring;                /* where its ring starts in the memory */
    uint16_t ring_size;           /* bytes: ((n_taps - 1) * dilation + 1) * n_inputs */
    uint16_t run;                 /* inputs of a piece: those of a tap, or of all taps if they lie side by side */
    uint16_t gap;                 /* bytes from a piece to the next one */
    uint16_t n_used;              /* n_taps * n_inputs */
    uint16_t n_inputs;
    uint16_t n_outputs;
    uint16_t skipped;             /* inputs before the one that completes the first output */
    uint16_t stride;
    int8_t silence;               /* zero point of the inputs */
    int8_t zero_point;            /* of the outputs, as are the bounds */
    int8_t low;
    int8_t high;
    uint8_t rounding;             /* mh_convolve_rounding_t */
    uint8_t addition;             /* one more than its place among the table's; 0: none */
};

/* Turns the sums of products of a layer into the outputs from `out` to `end`. */
typedef void mh_convolve_finish_t(
    const mh_convolution_t *layer, const mh_channel_t *channel, const int32_t *sum, int8_t *out, const int8_t *end);

typedef struct {
    const mh_convolution_t *layers;
    const uint32_t *weights;        /* layer by layer: of four outputs at a time, by tap, the oldest first, by input */
    const mh_channel_t *channels;   /* layer by layer */
    const mh_addition_t *additions;
    mh_convolve_finish_t *finish;   /* of all layers */
    uint32_t output;                /* where the latest output lies in the memory */
    uint16_t n_layers;
    uint16_t n_outputs;             /* of the last layer */
} mh_convolve_table_t;

typedef struct {
    uint16_t newest; /* where the newest input starts in the ring */
    uint16_t wait;   /* inputs to come before the one that completes the next output */
} mh_convolve_layer_t;

typedef struct {
    int8_t *memory;              /* the caller's: as many bytes as the table's writer says */
    mh_convolve_layer_t *layers; /* the caller's: n_layers */
} mh_convolve_state_t;

/* Before the first input. The caller has set both pointers. */
void mh_convolve_init(mh_convolve_state_t *state, const mh_convolve_table_t *table);

/* Take an input, one number for each of the first layer's inputs; return the output that it completes, or NULL.
   It stays where it is until the next one. */
const int8_t *mh_convolve_push(mh_convolve_state_t *state, const mh_convolve_table_t *table, const int8_t *input);

/* For layers of any kind, and, smaller, for those of MH_CONVOLVE_DOWN. */
mh_convolve_finish_t mh_convolve_finish_any, mh_convolve_finish_down;

/* For layers of any shape: a word holds an input's weights of four outputs as bytes, 128 added; from the lowest byte on,
   of outputs 0, 2, 1 and 3. */
mh_convolve_kernel_t mh_convolve_any;

/* What kernels for layers of one shape are made of: two inputs x and y, multiplied with the weights p and q, r and s of
   four outputs and added to a, b, c and d. A word holds the weights of two outputs, 2^16 second + first, so that one
   multiplication does for both. Two such products have a sum of 16 bits for each output, as no weight is below -127;
   b and d take the upper halves, a and c whole words, from which MH_CONVOLVE_END takes the upper halves. */
#define MH_CONVOLVE_TAKE_TWO(first, second, word_p, word_q, word_r, word_s) \
    do { \
        int32_t x = first, y = second; \
        uint32_t p = word_p, q = word_q, r = word_r, s = word_s; \
        MH_CONVOLVE_LOADED(x, y, p, q, r, s); \
        MH_CONVOLVE_ADD((int32_t)p * x + (int32_t)r * y, (int32_t)q * x + (int32_t)s * y); \
    } while (0)

/* The same for the last input of an odd number. */
#define MH_CONVOLVE_TAKE_ONE(x, p, q) MH_CONVOLVE_ADD((int32_t)(p) * (x), (int32_t)(q) * (x))

#define MH_CONVOLVE_ADD(products_p, products_q) \
    do { \
        const int32_t of_p = products_p, of_q = products_q; \
        a += (uint32_t)of_p; \
        b += (of_p + 0x8000) >> 16; \
        c += (uint32_t)of_q; \
        d += (of_q + 0x8000) >> 16; \
        MH_CONVOLVE_SUMMED(a, b, c, d); \
    } while (0)

#define MH_CONVOLVE_START \
    uint32_t a = 0, c = 0; \
    int32_t b = 0, d = 0

#define MH_CONVOLVE_END \
    do { \
        sums[0] = (int32_t)(a - ((uint32_t)b << 16)); \
        sums[1] = b; \
        sums[2] = (int32_t)(c - ((uint32_t)d << 16)); \
        sums[3] = d; \
    } while (0)

/* A Cortex-M3 loads in half the time what is loaded together, and has registers for little more than the sums: keep the
   compiler from putting off loads and additions. */
#if defined(__GNUC__) && !defined(__clang__)
#define MH_CONVOLVE_ORDERED __attribute__((optimize("no-schedule-insns"))) /* which at -O2 would undo it */
#else
#define MH_CONVOLVE_ORDERED
#endif
#ifdef __GNUC__
#define MH_CONVOLVE_LOADED(x, y, p, q, r, s) \
    __asm__ volatile("" : "+r"(x), "+r"(y), "+r"(p), "+r"(q), "+r"(r), "+r"(s))
#define MH_CONVOLVE_SUMMED(a, b, c, d) __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d) : : "memory")
#else
#define MH_CONVOLVE_LOADED(x, y, p, q, r, s) ((void)0)
#define MH_CONVOLVE_SUMMED(a, b, c, d) ((void)0)
#endif

#endif
