#include "mh_fast.h"

#include "mh_beats.h"

#include "mh_fixed.h"
#include "mh_quotient.h"
#include "mh_share.h"

enum {
    HALF_SLOPE = 3,
    HALF_ENERGY = 12, /* the slope's energy is that of 100 ms, about a QRS complex */
    DELAY = HALF_SLOPE + HALF_ENERGY,
    DOMINANCE = 30,   /* an energy peak is a beat once it stayed the highest for 120 ms */
    STEEPEST = 15,    /* the landmark is the steepest moment within 60 ms of the energy peak */
    PACE = 16,        /* samples gone through in a call at most */
    THRESHOLD = 26214, RISE = 26214, FALL = 3277, DECAY = 45875, /* 0.4, 0.4, 0.05, 0.7 as Q0.16 */
    FORGET_AFTER = 450,
    SECOND = 250,
    FAR = 3 * SECOND, /* stands for a beat that is not there */
    JUST_PASSED = 12, /* a beat up to 48 ms back counts as the next one still */
    FARTHEST = 200    /* a candidate more than 0.8 s after a beat is compared with no earlier beat */
};

/* Samples from b to a, across the wrap of positions. */
static int32_t mh_beats_since(uint32_t a, uint32_t b) { return (int32_t)(a - b); }

/* The slope at a sample, as a magnitude; the first sample of the stretch is held before it. */
static uint32_t mh_beats_slope(const mh_signal_t *signal, uint32_t n)
{
    const uint32_t start = (n - HALF_SLOPE) & signal->mask;
    int32_t total = 0;
    if (start + 2 * HALF_SLOPE <= signal->mask && n >= HALF_SLOPE) { /* most often the ring does not end in between */
        const int16_t *const x = signal->samples + start;
        total = x[4] + x[5] + x[6] - x[0] - x[1] - x[2];
    } else {
        for (uint32_t k = 1; k <= HALF_SLOPE; ++k) {
            total += mh_sample(signal, n + k) - mh_sample(signal, n > k ? n - k : 0);
        }
    }
    return (uint32_t)mh_abs(total);
}

/* Move the running energy on to the next sample. */
static void mh_beats_advance(mh_beats_state_t *s, const mh_signal_t *signal)
{
    const uint32_t n = s->followed;
    if (n == 0) {
        s->energy = 0;
        for (uint32_t k = 0; k < HALF_ENERGY; ++k) { s->energy += mh_beats_slope(signal, k); }
    }
    s->energy += mh_beats_slope(signal, n + HALF_ENERGY);
    if (n > HALF_ENERGY) { s->energy -= mh_beats_slope(signal, n - HALF_ENERGY - 1); }
}

/* A share, Q0.16, of a value. */
static uint32_t mh_beats_times(uint32_t value, uint32_t share) { return (uint32_t)((uint64_t)value * share >> 16); }

/* Note a beat whose energy peaked at sample best_at, and let the running energy follow. */
static void mh_beats_note(mh_beats_state_t *s, const mh_signal_t *signal)
{
    const uint32_t slot = s->n_found & (MH_BEATS_KEPT - 1u), strength = s->best << 8;
    const uint32_t first = s->best_at > STEEPEST ? s->best_at - STEEPEST : 0;
    uint32_t landmark = s->best_at, steepest = mh_beats_slope(signal, landmark);
    for (uint32_t k = first; k != s->best_at + STEEPEST + 1; ++k) {
        const uint32_t slope = mh_beats_slope(signal, k);
        if (slope > steepest) {
            steepest = slope;
            landmark = k;
        }
    }
    s->landmarks[slot] = landmark;
    s->delays[slot] = (uint8_t)(s->followed + DELAY - landmark);
    ++s->n_found;
    if (strength < s->level_q8) {
        s->level_q8 -= mh_beats_times(s->level_q8 - strength, FALL);
    } else if (strength - s->level_q8 < s->level_q8) {
        s->level_q8 += mh_beats_times(strength - s->level_q8, RISE);
    } else {
        s->level_q8 += mh_beats_times(s->level_q8, RISE);
    }
    s->last_beat = s->best_at;
}

/* Decide whether there was a beat, by the energy at the next sample. */
static void mh_beats_track(mh_beats_state_t *s, const mh_signal_t *signal)
{
    const uint32_t n = s->followed;
    uint32_t quiet;
    if (s->energy > s->best) {
        s->best = s->energy;
        s->best_at = n;
    } else if (n - s->best_at == DOMINANCE && s->best > 0) {
        if (s->best << 8 > mh_beats_times(s->level_q8, THRESHOLD)) { mh_beats_note(s, signal); }
        s->best = 0;
        s->best_at = n;
    }
    quiet = n - s->last_beat;
    if (quiet > FORGET_AFTER && (quiet - FORGET_AFTER) % SECOND == 1) {
        s->level_q8 = mh_beats_times(s->level_q8, DECAY);
    }
}

/* Judge at most so many more samples, as far as their energy is known. */
static void mh_beats_follow(mh_beats_state_t *s, const mh_signal_t *signal, uint32_t newest, uint32_t most)
{
    if (newest < DELAY) { return; }
    for (; most != 0 && s->followed != newest + 1 - DELAY; --most) {
        mh_beats_advance(s, signal);
        if (s->is_warm) {
            mh_beats_track(s, signal);
        } else if (s->energy << 8 > s->level_q8) {
            s->level_q8 = s->energy << 8;
        }
        ++s->followed;
    }
}

static void mh_beats_end_warm_up(mh_beats_state_t *s)
{
    s->is_warm = 1;
    s->followed = 0;
}

void mh_beats_init(mh_beats_state_t *s)
{
    s->n_found = s->followed = s->energy = s->best = s->best_at = s->last_beat = s->level_q8 = 0;
    s->is_warm = 0;
}

void mh_beats_push(mh_beats_state_t *s, const mh_beats_table_t *t, const mh_signal_t *signal, uint32_t newest)
{
    mh_beats_follow(s, signal, newest, PACE);
    if (!s->is_warm && newest == t->warm_up) { mh_beats_end_warm_up(s); }
}

void mh_beats_end(mh_beats_state_t *s, const mh_beats_table_t *t, const mh_signal_t *signal, uint32_t newest)
{
    if (!s->is_warm) { mh_beats_end_warm_up(s); }
    mh_beats_follow(s, signal, newest, (uint32_t)t->warm_up + 1u);
}

int mh_beats_ready(const mh_beats_state_t *s, uint32_t limit)
{
    return s->is_warm && mh_beats_since(s->followed + DELAY, limit) > 0;
}

static uint32_t mh_beats_landmark(const mh_beats_state_t *s, uint32_t beat)
{
    return s->landmarks[beat & (MH_BEATS_KEPT - 1u)];
}

/* The sample that made a beat known. */
static uint32_t mh_beats_known_at(const mh_beats_state_t *s, uint32_t beat)
{
    return mh_beats_landmark(s, beat) + s->delays[beat & (MH_BEATS_KEPT - 1u)];
}

/* The beats that are averaged around a candidate, and what of the signal may be. */
typedef struct {
    uint32_t first, end; /* beats */
    uint32_t oldest, limit; /* samples */
} mh_beats_range_t;

/* Whether the window around a sample lies within the signal. */
static int mh_beats_within(const mh_beats_table_t *t, const mh_beats_range_t *range, uint32_t centre)
{
    return mh_beats_since(centre - t->half, range->oldest) >= 0 && mh_beats_since(centre + t->half, range->limit) <= 0;
}

/* Where sample n lies in memory, if `count` samples lie there side by side; else NULL, which is rare. */
static const int16_t *mh_beats_at(const mh_signal_t *signal, uint32_t n, int32_t count)
{
    const uint32_t place = n & signal->mask;
    return place + (uint32_t)count <= signal->mask + 1u ? signal->samples + place : NULL;
}

/* Average the signal at `phase` samples after each beat, and return how many beats there are. */
static int32_t mh_beats_average(const mh_beats_state_t *s, const mh_beats_table_t *t, const mh_signal_t *signal,
                                const mh_beats_range_t *range, uint32_t phase, int32_t *window)
{
    const int32_t width = t->width, n_points = 2 * t->half / width;
    int32_t count = 0, mean = 0;
    for (int32_t b = 0; b < n_points; ++b) { window[b] = 0; }
    for (uint32_t k = range->first; k != range->end; ++k) {
        const uint32_t centre = mh_beats_landmark(s, k) + phase;
        uint32_t n = centre - t->half;
        const int16_t *x = mh_beats_at(signal, n, n_points * width);
        if (!mh_beats_within(t, range, centre)) { continue; }
        ++count;
        if (x != NULL && width == 2) {
            MH_UNROLL
            for (int32_t b = 0; b < n_points; ++b) { window[b] += x[2 * b] + x[2 * b + 1]; }
            continue;
        }
        for (int32_t b = 0; b < n_points; ++b) {
            for (int32_t j = 0; j < width; ++j) { window[b] += mh_sample(signal, n++); }
        }
    }
    if (count == 0) { return 0; }
    for (int32_t b = 0; b < n_points; ++b) {
        window[b] = mh_quotient(window[b] * 256, count * width);
        mean += window[b];
    }
    mean = mh_quotient(mean, n_points);
    for (int32_t b = 0; b < n_points; ++b) { window[b] -= mean; }
    return count;
}

/* The mean absolute deviation of `count` beats from their average, each without its mean; 1/256 ADC units. */
static uint32_t mh_beats_spread(const mh_beats_state_t *s, const mh_beats_table_t *t, const mh_signal_t *signal,
                                const mh_beats_range_t *range, uint32_t phase, const int32_t *window, int32_t count)
{
    const int32_t width = t->width, n_points = 2 * t->half / width;
    int32_t spread = 0;
    for (uint32_t k = range->first; k != range->end; ++k) {
        const uint32_t centre = mh_beats_landmark(s, k) + phase;
        uint32_t n = centre - t->half, deviation = 0;
        const int16_t *x = mh_beats_at(signal, n, n_points * width);
        int32_t level = 0;
        if (!mh_beats_within(t, range, centre)) { continue; }
        if (x != NULL && width == 2) {
            MH_UNROLL
            for (int32_t j = 0; j < 2 * n_points; ++j) { level += x[j]; }
            level = mh_quotient(level * 256, n_points * 2);
            MH_UNROLL
            for (int32_t b = 0; b < n_points; ++b) {
                deviation += (uint32_t)mh_abs((x[2 * b] + x[2 * b + 1]) * 128 - level - window[b]);
            }
        } else {
            for (int32_t j = 0; j < n_points * width; ++j) { level += mh_sample(signal, n + (uint32_t)j); }
            level = mh_quotient(level * 256, n_points * width);
            for (int32_t b = 0; b < n_points; ++b) {
                int32_t value = 0;
                for (int32_t j = 0; j < width; ++j) { value += mh_sample(signal, n++); }
                deviation += (uint32_t)mh_abs(mh_quotient(value * 256, width) - level - window[b]);
            }
        }
        spread += (int32_t)(deviation / (uint32_t)n_points);
    }
    return (uint32_t)(spread / count);
}

/* Samples, or a sum of `count` such numbers, as seconds in Q4.11. */
static int16_t mh_beats_seconds(int32_t samples, int32_t count)
{
    return (int16_t)mh_quotient(samples * 2048, SECOND * count);
}

/* Describe the intervals between the recent beats: median, last, mean, mean absolute change. */
static void mh_beats_describe_intervals(const mh_beats_state_t *s, const mh_beats_range_t *range, int16_t rhythm[4])
{
    uint16_t ordered[MH_BEATS_KEPT];
    int32_t n = 0, total = 0, change = 0, last = 0;
    ordered[0] = 0; /* there are two beats at least, which no compiler knows */
    for (uint32_t k = range->first; k + 1 != range->end; ++k) {
        const int32_t interval
            = mh_min(mh_beats_since(mh_beats_landmark(s, k + 1), mh_beats_landmark(s, k)), FAR);
        int32_t place = n;
        for (; place > 0 && ordered[place - 1] > interval; --place) { ordered[place] = ordered[place - 1]; }
        ordered[place] = (uint16_t)interval;
        total += interval;
        if (n > 0) { change += mh_abs(interval - last); }
        last = interval;
        ++n;
    }
    rhythm[0] = mh_beats_seconds(ordered[n / 2], 1);
    rhythm[1] = mh_beats_seconds(last, 1);
    rhythm[2] = mh_beats_seconds(total, n);
    rhythm[3] = mh_beats_seconds(change, mh_max(n - 1, 1));
}

void mh_beats_describe(const mh_beats_state_t *s, const mh_beats_table_t *t, const mh_signal_t *signal,
                       uint32_t newest, uint32_t position, uint32_t limit, uint32_t scale_q8, int32_t *before,
                       int32_t *after, int16_t *rhythm)
{
    const int32_t n_points = 2 * t->half / t->width;
    const uint32_t forgotten = s->n_found > MH_BEATS_KEPT ? s->n_found - MH_BEATS_KEPT : 0;
    mh_beats_range_t range = {0, s->n_found, newest > signal->mask ? newest - signal->mask : 0, limit};
    uint32_t next; /* the first beat that is not over */
    while (range.end != forgotten && mh_beats_since(mh_beats_known_at(s, range.end - 1), limit) > 0) { --range.end; }
    next = range.end;
    while (next != forgotten && mh_beats_since(mh_beats_landmark(s, next - 1), position) > -JUST_PASSED) { --next; }
    range.first = range.end - forgotten > t->n_beats ? range.end - t->n_beats : forgotten;
    while (range.first != range.end
           && mh_beats_since(position, mh_beats_landmark(s, range.first)) > t->horizon) { ++range.first; }

    for (uint32_t k = 0; k < MH_BEATS_RHYTHM; ++k) { rhythm[k] = 0; }
    for (int32_t b = 0; b < n_points; ++b) { before[b] = after[b] = 0; }
    rhythm[0] = mh_beats_seconds(FAR, 1);
    if (next != range.end) {
        const int32_t ahead = mh_beats_since(mh_beats_landmark(s, next), position);
        const uint32_t phase = 0u - (uint32_t)ahead;
        const int32_t count = mh_beats_average(s, t, signal, &range, phase, before);
        rhythm[0] = mh_beats_seconds(mh_min(ahead, FAR), 1);
        rhythm[9] = (int16_t)mh_quotient(count * 2048, t->n_beats);
        if (count > 0) {
            const uint32_t spread = mh_beats_spread(s, t, signal, &range, phase, before, count);
            if (spread > 0) { rhythm[11] = mh_share(spread, spread + scale_q8); }
        }
    }
    for (uint32_t k = 0; k < 4; ++k) {
        int32_t elapsed = FAR;
        if (next - forgotten > k) {
            elapsed = mh_min(mh_beats_since(position, mh_beats_landmark(s, next - 1 - k)), FAR);
        }
        rhythm[1 + k] = mh_beats_seconds(elapsed, 1);
    }
    if (next != forgotten) {
        const int32_t elapsed = mh_beats_since(position, mh_beats_landmark(s, next - 1));
        if (elapsed < FARTHEST) {
            const int32_t count = mh_beats_average(s, t, signal, &range, (uint32_t)elapsed, after);
            rhythm[10] = (int16_t)mh_quotient(count * 2048, t->n_beats);
        }
    }
    if (range.end - range.first > 1) { mh_beats_describe_intervals(s, &range, rhythm + 5); }
}
