#include "mh_network.h"

void mh_network_init(mh_network_state_t *state, const mh_network_table_t *table)
{
    mh_convolve_init(&state->layers, table->layers);
    state->position = 0;
    state->n_outputs = 0;
    state->filtered = 0;
    state->early = table->early;
}

/* value * part, Q1.31, rounded. */
static int32_t part_of(int32_t value, int32_t part)
{
    return (int32_t)(((int64_t)value * part + ((int64_t)1 << 30)) >> 31);
}

/* Return the code of value / (|value| + knee * scale), |value| < 2^30 Q20.12. */
static int8_t compressed(const mh_network_table_t *table, int32_t value, int32_t knee, uint32_t scale_q8)
{
    uint32_t size = (uint32_t)mh_abs(value);
    uint32_t bound = size + (uint32_t)(((uint64_t)scale_q8 * (uint32_t)knee) >> 12);
    while (bound >> 20 != 0) {
        bound >>= 4;
        size >>= 4;
    }
    while (bound >> 16 != 0) {
        bound >>= 1;
        size >>= 1;
    }
    const uint32_t ratio = bound == 0 ? 0 : ((size << 15) + bound / 2) / bound; /* Q1.15 */
    const int32_t code = mh_rounded_shift((int32_t)ratio * table->code, table->code_shift);
    return mh_to_int8(table->nothing + (value < 0 ? -code : code));
}

/* Hand inputs to the layers. */
static bool advance(mh_network_state_t *state, const mh_network_table_t *table, const int8_t *inputs)
{
    const int8_t *output = mh_convolve_push(&state->layers, table->layers, inputs);
    if (output == 0) { return false; }
    if (state->early > 0) {
        --state->early;
        return true;
    }
    const uint32_t n = table->n_classes + 1u;
    int8_t *logits = state->logits + (state->n_outputs++ & (table->n_rows - 1u)) * n;
    for (uint32_t c = 0; c < n; ++c) { logits[c] = output[c]; }
    return true;
}

bool mh_network_push(
    mh_network_state_t *state, const mh_network_table_t *table, const mh_signal_t *signal, uint32_t scale_q8)
{
    const uint32_t n = state->position++;
    const int32_t sample = mh_sample(signal, n);
    const int32_t change = sample - mh_sample(signal, n > 0 ? n - 1u : 0u);
    const int32_t slope = sample - mh_sample(signal, n > table->slope ? n - table->slope : 0u);
    state->filtered += part_of(change * (1 << 12), table->gain) - part_of(state->filtered, table->leak);
    const int8_t inputs[MH_NETWORK_INPUTS] = {
        compressed(table, state->filtered, table->knees[0], scale_q8),
        compressed(table, slope * (1 << 12), table->knees[1], scale_q8),
        table->one,
    };
    return advance(state, table, inputs);
}

bool mh_network_drain(mh_network_state_t *state, const mh_network_table_t *table)
{
    const int8_t inputs[MH_NETWORK_INPUTS] = {table->nothing, table->nothing, table->nothing};
    if (state->n_outputs * table->stride >= state->position) { return false; }
    (void)advance(state, table, inputs);
    return state->n_outputs * table->stride < state->position;
}

bool mh_network_knows(const mh_network_state_t *state, const mh_network_table_t *table, uint32_t position)
{
    return (int32_t)(state->n_outputs - position / table->stride) > table->ahead;
}

/* Return a / b, rounded down; a >= -8192 b. */
static int32_t divided(int32_t a, uint32_t b) { return (int32_t)(((uint32_t)a + b * 8192u) / b) - 8192; }

/* The latest outputs, as a candidate sees them. */
typedef struct {
    uint32_t newest; /* output */
    int32_t lead;    /* outputs from that of the candidate's sample to the newest */
    int32_t last;    /* outputs from the newest to the oldest that is kept */
    uint32_t mask;
} a_view_t;

/* Return the slot of the output `after` that of the candidate's sample, as far as it is kept. */
static inline uint32_t slot_of(a_view_t view, int32_t after)
{
    return (view.newest - (uint32_t)mh_clip(view.lead - after, 0, view.last)) & view.mask;
}

/* Write the log odds of all classes at an output, Q4.11. */
static void read_odds(const mh_network_state_t *state, const mh_network_table_t *table, uint32_t slot, int16_t *odds)
{
    const int8_t *logits = state->logits + slot * (table->n_classes + 1u);
    const int32_t none = logits[0], factor = table->odds, shift = table->odds_shift, limit = table->odds_limit;
    const int32_t half = (int32_t)1 << (shift - 1);
    for (uint32_t c = 0; c < table->n_classes; ++c) {
        odds[c] = (int16_t)mh_clip(((logits[c + 1u] - none) * factor + half) >> shift, -limit, limit);
    }
}

/* Add how probable the classes are at an output, in parts of 255. That is worked out anew for each candidate: it takes
   less time than RAM is worth. */
static void add_probabilities(
    const mh_network_state_t *state, const mh_network_table_t *table, uint32_t slot, int16_t *sums)
{
    const uint32_t n = table->n_classes;
    const int8_t *logits = state->logits + slot * (n + 1u);
    uint32_t weights[MH_NETWORK_CLASSES + 1], total = 0;
    int32_t highest = INT8_MIN;
    for (uint32_t c = 0; c <= n; ++c) { highest = mh_max(highest, logits[c]); }
    for (uint32_t c = 0; c <= n; ++c) {
        const uint32_t below = (uint32_t)(highest - logits[c]);
        weights[c] = below < table->n_exponentials ? table->exponentials[below] : 0u;
        total += weights[c];
    }
    for (uint32_t c = 0; c < n; ++c) {
        const uint32_t probability = (weights[c + 1u] * 255u + total / 2u) / total;
        sums[c] = (int16_t)(sums[c] + (int32_t)probability);
    }
}

void mh_network_describe(
    const mh_network_state_t *state, const mh_network_table_t *table, uint32_t position, int16_t *dense)
{
    const uint32_t n_classes = table->n_classes, stride = table->stride, q = position / stride;
    const int32_t r = (int32_t)(position % stride), whole = 2 * (int32_t)stride;
    if (state->n_outputs == 0) {
        for (uint32_t k = 0; k < MH_NETWORK_DENSE(table); ++k) { dense[k] = 0; }
        return;
    }
    const uint32_t newest = state->n_outputs - 1u, mask = table->n_rows - 1u;
    const a_view_t view = {newest, (int32_t)(newest - q), (int32_t)(newest < mask ? newest : mask), mask};
    for (uint32_t k = 0; k < table->n_near; ++k) {
        /* On the line between the middles of two outputs, in halves of samples. */
        const int32_t halves = 2 * (r + table->near[k]) - ((int32_t)stride - 1);
        const int32_t j = divided(halves, (uint32_t)whole), part = halves - whole * j;
        int16_t first[MH_NETWORK_CLASSES], second[MH_NETWORK_CLASSES];
        read_odds(state, table, slot_of(view, j), first);
        read_odds(state, table, slot_of(view, j + 1), second);
        for (uint32_t c = 0; c < n_classes; ++c) {
            const int32_t sum = whole * first[c] + part * (second[c] - first[c]);
            *dense++ = (int16_t)divided(sum + (int32_t)stride, (uint32_t)whole);
        }
    }
    for (const mh_network_mean_t *mean = table->means; mean != table->means + table->n_means; ++mean) {
        int32_t j = divided(r + mean->start, stride);
        for (uint32_t c = 0; c < n_classes; ++c) { dense[c] = 0; }
        for (uint32_t left = mean->count; left > 0; --left, j += table->step) {
            add_probabilities(state, table, slot_of(view, j), dense);
        }
        for (uint32_t c = 0; c < n_classes; ++c, ++dense) {
            *dense = (int16_t)((*dense * mean->factor + (1 << 15)) >> 16);
        }
    }
}
