#include "mh_convolve.h"

#if defined(__GNUC__) && !defined(__clang__)
#define FAST __attribute__((optimize("O2"))) /* where all else is made small: -Os puts two jumps into every loop */
#else
#define FAST
#endif
#ifdef __GNUC__
#define INLINED __attribute__((always_inline))
#define APART __attribute__((noinline))
#define HELD(value) __asm__ volatile("" : "+r"(value)) /* the compiler keeps it as it is, in a register */
#else
#define INLINED
#define APART
#define HELD(value) ((void)0)
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

/* mh_to_int8, in one instruction where there is one. */
static inline INLINED int8_t saturated(int32_t value)
{
#if defined(__GNUC__) && defined(__ARM_FEATURE_SAT)
    __asm__("ssat %0, #8, %1" : "=r"(value) : "r"(value));
    return (int8_t)value;
#else
    return mh_to_int8(value);
#endif
}

/* Bias and shift of a channel. */
static inline INLINED int32_t bias_of(const mh_channel_t *channel) { return channel->bias_and_shift >> 6; }
static inline INLINED int32_t shift_of(const mh_channel_t *channel) { return (channel->bias_and_shift & 63) - 32; }

void mh_convolve_finish_down(
    const mh_convolution_t *layer, const mh_channel_t *channel, const int32_t *sum, int8_t *out, const int8_t *end)
{
    const int32_t zero_point = layer->zero_point;
    do {
        const int32_t high = scaled(*sum++ + bias_of(channel), channel->multiplier), shift = shift_of(channel);
        ++channel;
        *out++ = saturated(zero_point + shifted_down(high, -shift));
    } while (out != end);
}

/* value * multiplier * 2^(shift - 31), rounded once. */
static int32_t rescaled_once(int32_t value, int32_t multiplier, int32_t shift)
{
    const int64_t product = (int64_t)mh_abs(value) * multiplier;
    const int32_t size = (int32_t)((product + ((int64_t)1 << (30 - shift))) >> (31 - shift));
    return value < 0 ? -size : size;
}

void mh_convolve_finish_any(
    const mh_convolution_t *layer, const mh_channel_t *channel, const int32_t *sum, int8_t *out, const int8_t *end)
{
    if (layer->rounding == MH_CONVOLVE_DOWN) {
        mh_convolve_finish_down(layer, channel, sum, out, end);
        return;
    }
    for (; out != end; ++channel) {
        const int32_t value = *sum++ + bias_of(channel), multiplier = channel->multiplier, shift = shift_of(channel);
        const int32_t change = layer->rounding == MH_CONVOLVE_ONCE ? rescaled_once(value, multiplier, shift)
                                                                   : mh_rescaled(value, multiplier, shift);
        *out++ = (int8_t)mh_clip(layer->zero_point + change, layer->low, layer->high);
    }
}

/* Sums that wait to be finished together. */
#define TOGETHER 20

/* Compute a layer's outputs from its ring, and return where the weights of the next layer are. */
static const uint32_t *convolve(
    const mh_convolution_t *layer, mh_convolve_finish_t *finish, const uint32_t *w, const mh_channel_t *channels,
    const int8_t *ring, uint32_t oldest, int8_t *out)
{
    mh_convolve_piece_t pieces[MH_CONVOLVE_TAPS + 2], *piece = pieces; /* one more at the end of the ring, and the end */
    int32_t sums[TOGETHER];
    for (uint32_t left = layer->n_used; left > 0; left -= piece++->count) {
        const uint32_t room = layer->ring_size - oldest, run = layer->run < left ? layer->run : left;
        piece->in = ring + oldest;
        piece->count = run < room ? run : room;
        oldest += piece->count + layer->gap;
        if (oldest >= layer->ring_size) { oldest -= layer->ring_size; }
    }
    piece->count = 0;
    for (uint32_t first = 0; first < layer->n_outputs; first += TOGETHER) {
        const uint32_t left = layer->n_outputs - first, count = left < TOGETHER ? left : TOGETHER;
        for (uint32_t o = 0; o < count; o += 4) { w = layer->kernel(pieces, w, sums + o); }
        finish(layer, channels + first, sums, out + first, out + first + count);
    }
    return w;
}

static APART void add(const mh_addition_t *how, int8_t *own, const int8_t *other, const int8_t *end)
{
    const int8_t *wide = how->own_is_wide ? own : other, *narrow = how->own_is_wide ? other : own;
    const int32_t sum_multiplier = how->sum;
    int32_t multiplier = how->narrow;
    const int32_t shift = how->narrow_shift, sum_shift = how->sum_shift, down = shift > 0 ? -1 : 0;
    const int32_t half = shift > 0 ? (int32_t)1 << (shift - 1) : 0;
    const int32_t wide_zero = how->wide_zero, narrow_zero = how->narrow_zero, sum_zero = how->sum_zero;
    do {
        HELD(multiplier); /* else the compiler widens it once, and multiplies in two steps */
        /* 20 bits more on the way to a common scale, as LiteRT has them, so that little is lost. */
        const int32_t high = scaled((*narrow++ - narrow_zero) * (1 << 20), multiplier);
        const int32_t rounded = (high + half + ((high >> 31) & down)) >> shift;
        const int32_t sum = (*wide++ - wide_zero) * (1 << 19) + rounded;
        *own++ = saturated(sum_zero + shifted_down(scaled(sum, sum_multiplier), sum_shift));
    } while (own != end);
}

const int8_t *mh_convolve_push(mh_convolve_state_t *state, const mh_convolve_table_t *table, const int8_t *input)
{
    const mh_convolution_t *layer = table->layers;
    const uint32_t *weights = table->weights;
    const mh_channel_t *channels = table->channels;
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
        weights = convolve(layer, table->finish, weights, channels, state->memory + layer->ring, oldest, out);
        channels += layer->n_outputs;
        if (layer->addition != 0) {
            const mh_addition_t *addition = &table->additions[layer->addition - 1u];
            const uint32_t reader = addition->layer + 1u; /* the layer whose newest input is what the other gave */
            add(addition, out, state->memory + table->layers[reader].ring + state->layers[reader].newest,
                out + layer->n_outputs);
        }
    }
    return state->memory + table->output;
}

/* The weights of outputs 0 and 1, and of outputs 2 and 3, as MH_CONVOLVE_TAKE_TWO multiplies them. */
#define LOWER(word) ((int32_t)((word) & bytes) - 0x00800080)
#define UPPER(word) ((int32_t)(((word) >> 8) & bytes) - 0x00800080)

#define TAKE_TWO(i) \
    do { \
        int32_t x = in[i], y = in[(i) + 1]; \
        uint32_t p = w[i], q = w[(i) + 1]; \
        MH_CONVOLVE_SUMMED(x, y, p, q); \
        MH_CONVOLVE_ADD(LOWER(p) * x + LOWER(q) * y, UPPER(p) * x + UPPER(q) * y); \
    } while (0)

FAST const uint32_t *mh_convolve_any(const mh_convolve_piece_t *piece, const uint32_t *w, int32_t sums[4])
{
    uint32_t bytes = 0x00FF00FFu;
    MH_CONVOLVE_START;
    HELD(bytes);
    do {
        const int8_t *in = piece->in, *behind = in + piece->count;
        ++piece;
        if (behind - in >= 4) {
            do {
                TAKE_TWO(0);
                TAKE_TWO(2);
                in += 4;
                w += 4;
                HELD(in);
                HELD(w);
            } while (behind - in >= 4);
        }
        for (; in != behind; ++in, ++w) { MH_CONVOLVE_ADD(LOWER(*w) * *in, UPPER(*w) * *in); }
    } while (piece->count != 0);
    MH_CONVOLVE_END;
    return w;
}
