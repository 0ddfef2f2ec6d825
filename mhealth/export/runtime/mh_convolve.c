#include "mh_convolve.h"

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

static void add(const mh_addition_t *addition, uint32_t n_outputs, int8_t *own, const int8_t *other)
{
    const int32_t *multipliers = addition->multipliers;
    const int8_t *shifts = addition->shifts, *zeros = addition->zero_points;
    for (uint32_t o = 0; o < n_outputs; ++o) {
        /* 20 bits more on the way to a common scale, as LiteRT has them, so that little is lost. */
        const int32_t a = mh_convolve_rescaled((own[o] - zeros[0]) * (1 << 20), multipliers[0], shifts[0]);
        const int32_t b = mh_convolve_rescaled((other[o] - zeros[1]) * (1 << 20), multipliers[1], shifts[1]);
        const int32_t sum = zeros[2] + mh_convolve_rescaled(a + b, multipliers[2], shifts[2]);
        own[o] = (int8_t)mh_clip(sum, addition->low, addition->high);
    }
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
        layer->kernel(layer, state->memory + layer->ring, oldest, out);
        if (layer->addition != 0) {
            const uint32_t reader = layer->addition->layer + 1u; /* the layer whose newest input is what the other gave */
            add(layer->addition, layer->n_outputs, out,
                state->memory + table->layers[reader].ring + state->layers[reader].newest);
        }
    }
    return state->memory + table->output;
}

void mh_convolve_finish(const mh_convolution_t *layer, uint32_t first, const int32_t sums[4], int8_t *out)
{
    const uint32_t left = layer->n_outputs - first, last = first + (left < 4 ? left : 4);
    for (uint32_t o = first; o < last; ++o) {
        const int32_t sum = *sums++ + layer->bias[o], multiplier = layer->multipliers[o], shift = layer->shifts[o];
        const int32_t value = layer->rounded_once ? mh_convolve_rescaled_once(sum, multiplier, shift)
                                                  : mh_convolve_rescaled(sum, multiplier, shift);
        out[o] = (int8_t)mh_clip(layer->zero_point + value, layer->low, layer->high);
    }
}

void mh_convolve_any(const mh_convolution_t *layer, const int8_t *ring, uint32_t oldest, int8_t *out)
{
    const int8_t *w = layer->weights;
    for (uint32_t o = 0; o < layer->n_outputs; o += 4) {
        /* Each input is read once for four outputs, whose sums stay in registers. */
        int32_t a = 0, b = 0, c = 0, d = 0;
        uint32_t at = oldest;
        for (uint32_t left = layer->n_used; left > 0;) {
            const uint32_t room = layer->ring_size - at, run = layer->run < room ? layer->run : room;
            const uint32_t count = run < left ? run : left;
            const int8_t *x = ring + at;
            for (const int8_t *end = x + count; x != end; ++x, w += 4) {
                a += w[0] * *x;
                b += w[1] * *x;
                c += w[2] * *x;
                d += w[3] * *x;
            }
            left -= count;
            at += count + layer->gap;
            if (at >= layer->ring_size) { at -= layer->ring_size; }
        }
        const int32_t sums[4] = {a, b, c, d};
        mh_convolve_finish(layer, o, sums, out);
    }
}
