#include "mh_convolve.h"

#ifdef __GNUC__
#define INLINED __attribute__((always_inline))
#define APART __attribute__((noinline))
#else
#define INLINED
#define APART
#endif

void mh_convolve_init(mh_convolve_state_t *state, const mh_convolve_table_t *table)
{
    for (uint32_t k = 0; k < table->n_layers; ++k) {
        const mh_convolution_t *layer = &table->layers[k];
        state->layers[k].newest = (uint16_t)(layer->ring_size - layer->n_inputs);
        state->layers[k].wait = layer->skipped;
        for (uint32_t i = 0; i < layer->ring_size; ++i) { state->memory[layer->ring + i] = layer->silence; }
    }
}

/* Move on to the place of a layer's next input. */
static int8_t *next_place(mh_convolve_state_t *state, const mh_convolution_t *layer, uint32_t k)
{
    uint32_t newest = (uint32_t)state->layers[k].newest + layer->n_inputs;
    if (newest == layer->ring_size) { newest = 0; }
    state->layers[k].newest = (uint16_t)newest;
    return state->memory + layer->ring + newest;
}

/* value * multiplier / 2^31, rounded; |value|, multiplier < 2^31. */
static inline INLINED int32_t scaled(int32_t value, int32_t multiplier)
{
    const int64_t product = (int64_t)value * multiplier;
    const uint32_t low = (uint32_t)product;
    return (int32_t)(product >> 32) * 2 + (int32_t)(((low >> 30) + 1u) >> 1);
}

/* value / 2^shift, halves away from zero; shift >= 1 and |value| + 2^shift < 2^31, which the table's writer knows. */
static inline INLINED int32_t shifted_down(int32_t value, int32_t shift)
{
    return (value + ((int32_t)1 << (shift - 1)) + (value >> 31)) >> shift;
}

/* What is rare, slower. */
static APART int32_t rescaled_any(const mh_convolution_t *layer, int32_t value, int32_t multiplier, int32_t shift)
{
    if (layer->rounding == MH_CONVOLVE_ANY) { return mh_rescaled(value, multiplier, shift); }
    const int64_t product = (int64_t)mh_abs(value) * multiplier;
    const int32_t size = (int32_t)((product + ((int64_t)1 << (30 - shift))) >> (31 - shift));
    return value < 0 ? -size : size;
}

static void add(const mh_addition_t *addition, uint32_t n_outputs, int8_t *own, const int8_t *other)
{
    const mh_addition_t how = *addition; /* a copy, of which the compiler knows that `own` is no part */
    const int8_t *wide = how.own_is_wide ? own : other, *narrow = how.own_is_wide ? other : own;
    const bool exactly = how.narrow_shift == 0;
    const int32_t half = exactly ? 0 : (int32_t)1 << (how.narrow_shift - 1), down = exactly ? 0 : -1;
    const int8_t *end = own + n_outputs;
    do {
        /* 20 bits more on the way to a common scale, as LiteRT has them, so that little is lost. */
        const int32_t exact = (*wide++ - how.wide_zero) * (1 << 19);
        const int32_t high = scaled((*narrow++ - how.narrow_zero) * (1 << 20), how.narrow);
        const int32_t rounded = (high + half + ((high >> 31) & down)) >> how.narrow_shift;
        const int32_t sum = how.sum_zero + shifted_down(scaled(exact + rounded, how.sum), how.sum_shift);
        *own++ = (int8_t)mh_clip(sum, how.low, how.high);
    } while (own != end);
}

static void convolve(const mh_convolution_t *layer, const int8_t *ring, uint32_t oldest, int8_t *out)
{
    const uint32_t *w = layer->weights;
    const int32_t *bias = layer->bias, *multipliers = layer->multipliers;
    const int8_t *shifts = layer->shifts, *end = out + layer->n_outputs;
    const int32_t zero_point = layer->zero_point, low = layer->low, high = layer->high;
    int32_t sums[4];
    do {
        const int8_t *behind = end - out > 4 ? out + 4 : end;
        const int32_t *sum = sums;
        w = layer->kernel(layer, ring, oldest, w, sums);
        do {
            const int32_t total = *sum++ + *bias++, multiplier = *multipliers++, shift = *shifts++;
            const int32_t value = layer->rounding == MH_CONVOLVE_DOWN ? shifted_down(scaled(total, multiplier), -shift)
                                                                      : rescaled_any(layer, total, multiplier, shift);
            *out++ = (int8_t)mh_clip(zero_point + value, low, high);
        } while (out != behind);
    } while (out != end);
}

const int8_t *mh_convolve_push(mh_convolve_state_t *state, const mh_convolve_table_t *table, const int8_t *input)
{
    const mh_convolution_t *layer = table->layers;
    int8_t *place = next_place(state, layer, 0);
    for (uint32_t i = 0; i < layer->n_inputs; ++i) { place[i] = input[i]; }
    for (uint32_t k = 0; k < table->n_layers; ++k) {
        mh_convolve_layer_t *at = &state->layers[k];
        layer = &table->layers[k];
        if (at->wait > 0) {
            --at->wait;
            return 0;
        }
        at->wait = (uint16_t)(layer->stride - 1);
        const uint32_t behind = (uint32_t)at->newest + layer->n_inputs, oldest = behind == layer->ring_size ? 0 : behind;
        int8_t *out = state->memory + table->output;
        if (k + 1u < table->n_layers) { out = next_place(state, layer + 1, k + 1u); }
        convolve(layer, state->memory + layer->ring, oldest, out);
        if (layer->addition != 0) {
            const uint32_t reader = layer->addition->layer + 1u; /* the layer whose newest input is what the other gave */
            add(layer->addition, layer->n_outputs, out,
                state->memory + table->layers[reader].ring + state->layers[reader].newest);
        }
    }
    return state->memory + table->output;
}

/* Multiply an input with the weights of four outputs, which come in one load. */
#define TAKE(x, word) \
    do { \
        a += (int8_t)(word) * (x); \
        b += (int8_t)((word) >> 8) * (x); \
        c += (int8_t)((word) >> 16) * (x); \
        d += (int8_t)((word) >> 24) * (x); \
    } while (0)

const uint32_t *mh_convolve_any(
    const mh_convolution_t *layer, const int8_t *ring, uint32_t oldest, const uint32_t *w, int32_t sums[4])
{
    int32_t a = 0, b = 0, c = 0, d = 0;
    uint32_t at = oldest, left = layer->n_used;
    do {
        const uint32_t room = layer->ring_size - at, run = layer->run < left ? layer->run : left;
        const uint32_t count = run < room ? run : room;
        const int8_t *in = ring + at;
        if ((count & 1u) != 0) {
            const int32_t x = *in++;
            const uint32_t word = *w++;
            TAKE(x, word);
        }
        for (const int8_t *end = ring + at + count; in != end; in += 2, w += 2) {
            const int32_t x = in[0], y = in[1];
            const uint32_t p = w[0], q = w[1];
            TAKE(x, p);
            TAKE(y, q);
        }
        left -= count;
        at += count + layer->gap;
        if (at >= layer->ring_size) { at -= layer->ring_size; }
    } while (left > 0);
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
    return w;
}
