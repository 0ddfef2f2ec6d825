#include "mh_fast.h"

#include "mh_segment.h"

#include "mh_fixed.h"

/* Read a million times a minute: worth its 100 bytes, also where a compiler is told to save them. */
#if MH_WITH_SPEED && defined(__GNUC__)
#define MH_SEGMENT_INLINE static inline __attribute__((always_inline))
#else
#define MH_SEGMENT_INLINE static inline
#endif

/* Beyond its ends the lead goes on as its first and last sample are. Positions wrap: their differences are compared. */
static uint32_t mh_segment_held(const mh_segment_state_t *state, uint32_t k)
{
    return (int32_t)(k - state->first_held) < 0 ? state->first_held : state->final_held;
}

MH_SEGMENT_INLINE int32_t mh_segment_sample(const mh_segment_state_t *state, const mh_signal_t *signal, uint32_t k)
{
    const int is_inside = k - state->first_held <= state->final_held - state->first_held;
    return mh_sample(signal, is_inside ? k : mh_segment_held(state, k));
}

/* The smoothed lead at k, times the length of the box. */
static int32_t mh_segment_box(const mh_segment_state_t *state, const mh_segment_table_t *table,
                              const mh_signal_t *signal, uint32_t k)
{
    int32_t sum = 0;
    for (uint32_t n = 0; n <= 2u * table->half; ++n) { sum += mh_segment_sample(state, signal, k - table->half + n); }
    return sum;
}

/* What moves the box at k on by one sample, forward (step 1) or backward (step -1). */
MH_SEGMENT_INLINE int32_t mh_segment_slide(const mh_segment_state_t *state, const mh_segment_table_t *table,
                                           const mh_signal_t *signal, uint32_t k, int32_t step)
{
    const int32_t half = table->half;
    return mh_segment_sample(state, signal, k + (uint32_t)(step * (half + 1))) -
           mh_segment_sample(state, signal, k - (uint32_t)(step * half));
}

static mh_scale_value_t *mh_segment_group(const mh_segment_state_t *state, const mh_segment_table_t *table, uint32_t k)
{
    return &state->groups[(k >> table->group_shift) & (table->n_groups - 1u)];
}

/* The larger of two thresholds, Q.28. */
static uint64_t mh_segment_threshold(uint32_t of_scale, uint32_t of_floor, const mh_scale_value_t *value)
{
    const uint64_t a = (uint64_t)of_scale * value->scale_q8, b = (uint64_t)of_floor * value->floor_q8;
    return a > b ? a : b;
}

/* Where sample k lies in memory, if the ones from k - before to k + after lie side by side and none is held; else NULL,
   which is rare. */
static const int16_t *mh_segment_beside(const mh_segment_state_t *state, const mh_signal_t *signal, uint32_t k,
                                        uint32_t before, uint32_t after)
{
    const uint32_t place = (k - before) & signal->mask;
    const int is_inside = k - before - state->first_held <= state->final_held - state->first_held &&
                          k + after - state->first_held <= state->final_held - state->first_held;
    return is_inside && place + before + after <= signal->mask ? signal->samples + place + before : NULL;
}

/* Say whether sign * lead is largest at the sample being decided, on one side of it, and falls by more than `least`
   there; tell how many samples are as large. Before it, none beyond these may be as large, so that the first of equals
   wins. `x` is where the sample lies, or NULL. */
MH_SEGMENT_INLINE int mh_segment_side(const mh_segment_state_t *state, const mh_segment_table_t *table,
                                      const mh_signal_t *signal, const int16_t *x, int32_t sign, int32_t step,
                                      int32_t least, int32_t *plateau)
{
    const int32_t reach = table->reach, arm = table->arm, half = table->half;
    uint32_t k = state->position;
    int32_t change = 0, lowest = 0; /* from the sample to k, times sign */
    *plateau = 1;
    for (int32_t n = 1; n <= reach || (n <= arm && lowest >= -least); ++n) {
        if (x != NULL) {
            change += sign * (x[step * (n + half)] - x[step * (n - 1 - half)]);
        } else {
            change += sign * mh_segment_slide(state, table, signal, k, step);
            k += (uint32_t)step;
        }
        if (n <= reach) {
            if (change >= 0) {
                if (change > 0 || (n > *plateau && step < 0)) { return 0; }
                if (n == *plateau) { ++*plateau; }
            }
            if (n > arm) { continue; }
        }
        lowest = mh_min(lowest, change);
    }
    return lowest < -least;
}

/* Both sides, of which the second is looked at only if need be. */
MH_SEGMENT_INLINE int mh_segment_sides(const mh_segment_state_t *state, const mh_segment_table_t *table,
                                       const mh_signal_t *signal, const int16_t *x, int32_t sign, int32_t least)
{
    int32_t before, after;
    return mh_segment_side(state, table, signal, x, sign, -1, least, &before) && before <= table->reach &&
           mh_segment_side(state, table, signal, x, sign, 1, least, &after) &&
           (after == before || after == before + 1); /* of a plateau the middle */
}

/* Say whether the sample being decided is a maximum of sign * lead that stands out by more than `least`. */
static int mh_segment_is_peak(const mh_segment_state_t *state, const mh_segment_table_t *table,
                              const mh_signal_t *signal, int32_t sign, const mh_scale_value_t *value)
{
    if (sign * state->before > sign * state->value || sign * state->after > sign * state->value) { return 0; }
    const uint64_t threshold = mh_segment_threshold(table->prominence, table->prominence_floor, value) >> 28;
    const int32_t least = threshold > INT32_MAX ? INT32_MAX : (int32_t)threshold;
    const uint32_t sight = (uint32_t)(mh_max(table->reach, table->arm) + table->half);
    const int16_t *const x = mh_segment_beside(state, signal, state->position, sight, sight);
    /* With SPEED there is a copy of all this that does not ask for every sample where it lies. */
    if (MH_WITH_SPEED && x == NULL) { return mh_segment_sides(state, table, signal, NULL, sign, least); }
    return mh_segment_sides(state, table, signal, x, sign, least);
}

/* Return where the gap from the last candidate to `stop` bends, or the last candidate if it does not bend enough; tell
   the range of the lead in it. */
static uint32_t mh_segment_bend(const mh_segment_state_t *state, const mh_segment_table_t *table,
                                const mh_signal_t *signal, uint32_t stop, uint32_t *range)
{
    const uint32_t start = state->last;
    const int32_t length = (int32_t)(stop - start), shortest = table->shortest;
    /* Of the lead less its value at `start`; the chord rises by `rise`. */
    const int32_t rise = mh_segment_box(state, table, signal, stop) - mh_segment_box(state, table, signal, start);
    int32_t low = mh_min(0, rise), high = mh_max(0, rise), level = 0, chord = 0, farthest = 0, bend = 0;
    const int32_t half = table->half;
    const int16_t *const x = mh_segment_beside(state, signal, start, table->half, (uint32_t)(length + half));
    for (int32_t n = 1; n < length; ++n) {
        level += x != NULL ? x[n + half] - x[n - 1 - half]
                           : mh_segment_slide(state, table, signal, start + (uint32_t)n - 1u, 1);
        chord += rise;
        low = mh_min(low, level);
        high = mh_max(high, level);
        const int32_t distance = mh_abs(level * length - chord); /* times the length of the gap */
        if (distance > farthest && n >= shortest && length - n >= shortest) {
            farthest = distance;
            bend = n;
        }
    }
    *range = (uint32_t)(high - low);
    const mh_scale_value_t *const value = mh_segment_group(state, table, stop);
    uint64_t least = mh_segment_threshold(table->deviation, table->deviation_floor, value) >> 20; /* Q.8 from here on */
    const uint64_t of_range = ((uint64_t)table->deviation_range * *range) >> 12;
    if (of_range > least) { least = of_range; }
    /* distance / length > least * sqrt(reference / length) */
    const uint32_t root = mh_root(table->reference * (uint32_t)length); /* times 2^root_shift */
    return ((uint64_t)farthest << (8 + table->root_shift)) > least * root ? start + (uint32_t)bend : start;
}

/* Open the gap from the last candidate to `stop`. */
static void mh_segment_open(mh_segment_state_t *state, uint32_t stop, uint8_t closing)
{
    state->stop = stop;
    state->splits[0] = 0;
    state->n_open = 1;
    state->n_pieces = 0;
    state->closing = closing;
}

void mh_segment_init(mh_segment_state_t *state, const mh_segment_table_t *table, mh_scale_value_t *groups,
                     uint16_t *splits)
{
    (void)table;
    state->groups = groups;
    state->splits = splits;
    state->position = state->last = state->first_held = state->final_held = 0;
    state->n_open = state->n_pieces = 0;
    state->ended = state->closing = 0;
}

void mh_segment_end(mh_segment_state_t *state, uint32_t end)
{
    state->final_held = end - 1u;
    state->ended = 1;
    state->closing = end == state->first_held; /* no sample came */
}

void mh_segment_push(mh_segment_state_t *state, const mh_segment_table_t *table, const mh_signal_t *signal,
                     mh_scale_value_t value)
{
    const uint32_t i = state->position;
    const int32_t sight = mh_max(table->reach, table->arm);
    const uint32_t back = (uint32_t)(mh_max(sight, table->longest_gap) + table->half);
    /* Nothing is read outside of these two, but beyond the ends of the stretch. */
    if (i - state->first_held > back) { state->first_held = i - back; }
    if (!state->ended) { state->final_held = i + (uint32_t)sight + table->half; }
    if (i == state->last) { /* the first sample */
        state->value = mh_segment_box(state, table, signal, i - 1u);
        state->after = mh_segment_box(state, table, signal, i);
    }
    state->before = state->value;
    state->value = state->after;
    state->after += mh_segment_slide(state, table, signal, i, 1);
    *mh_segment_group(state, table, i) = value;

    const int opens = i - state->last == table->longest_gap || mh_segment_is_peak(state, table, signal, 1, &value) ||
                      mh_segment_is_peak(state, table, signal, -1, &value);
    if (opens) { mh_segment_open(state, i, 0); }
    state->position = i + 1u;
}

int mh_segment_next(mh_segment_state_t *state, const mh_segment_table_t *table, const mh_signal_t *signal,
                    mh_candidate_t *candidate)
{
    if (state->n_open == 0 && state->ended && !state->closing && state->position == state->final_held + 1u) {
        mh_segment_open(state, state->final_held, 1);
        if (state->final_held == state->last) { state->n_open = 0; }
    }
    while (state->n_open > 0) {
        const uint32_t stop = state->stop - state->splits[state->n_open - 1u], length = stop - state->last;
        if (state->n_pieces == 0) {
            uint32_t range;
            const uint32_t bend = mh_segment_bend(state, table, signal, stop, &range);
            if (bend != state->last) {
                state->splits[state->n_open++] = (uint16_t)(state->stop - bend);
                continue;
            }
            const uint64_t busy = (uint64_t)table->busy_range * mh_segment_group(state, table, stop)->scale_q8;
            const int is_busy = length > table->busy_gap && ((uint64_t)range << 28) > busy;
            state->n_pieces = (uint16_t)(is_busy ? (length + table->busy_gap - 1u) / table->busy_gap : 1u);
            state->piece = 0;
        }
        const uint32_t n = state->n_pieces, piece = ++state->piece;
        candidate->position = state->last + (2u * piece * length + n) / (2u * n);
        if (piece == n) {
            state->n_pieces = 0;
            state->last = stop;
            if (--state->n_open == 0 && state->closing) { return 0; }
        }
        candidate->scale_q8 = mh_segment_group(state, table, candidate->position)->scale_q8;
        return 1;
    }
    return 0;
}

uint32_t mh_segment_decided(const mh_segment_state_t *state)
{
    return state->last + (state->position != state->last ? 1u : 0u);
}
