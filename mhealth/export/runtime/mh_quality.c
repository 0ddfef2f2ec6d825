#include "mh_fast.h"

#include "mh_quality.h"

#include "mh_fixed.h"

enum { IS_MISSING = 1, IS_RAIL = 2 }; /* bits in the ring of flags */
enum { DIGITS = 29 };                 /* of a filter's coefficients after the binary point */

/* A number below 2^63 as 16 bits that are ordered as numbers are: six of exponent, ten of eleven digits. */
static uint16_t mh_quality_to_short(uint64_t value)
{
    uint32_t exponent = 0, low;
    for (uint32_t step = 32; step != 0; step >>= 1) {
        if (value >> step >= 2048) {
            value >>= step;
            exponent += step;
        }
    }
    low = (uint32_t)value;
    if (low >= 2048) {
        low >>= 1;
        ++exponent;
    }
    return (uint16_t)((exponent << 10) + low);
}

/* The smallest number that to_short turns into a code. */
static uint64_t mh_quality_from_short(uint32_t code)
{
    const uint32_t exponent = code < 2048 ? 0 : (code >> 10) - 1;
    return (uint64_t)(code - (exponent << 10)) << exponent;
}

/* What is noted of the sample in a slot of the ring. */
static uint32_t mh_quality_flags_at(const mh_quality_state_t *s, uint32_t slot)
{
    return (uint32_t)s->flags[slot >> 2] >> (slot & 3u) * 2u & 3u;
}

/* Put the flags of a sample in place of the oldest, and count those on a rail. */
static void mh_quality_set_flags(mh_quality_state_t *s, uint32_t flags)
{
    const uint32_t shift = (s->slot & 3u) * 2u;
    const uint32_t others = s->flags[s->slot >> 2] & ~(3u << shift);
    s->n_rail = (uint16_t)(s->n_rail + (flags >> 1) - (mh_quality_flags_at(s, s->slot) >> 1));
    s->flags[s->slot >> 2] = (uint8_t)(others | flags << shift);
}

/* The code of the sample half a ring ago. */
static uint8_t mh_quality_release(const mh_quality_state_t *s, const mh_quality_table_t *t)
{
    const uint32_t length = 2u * t->look + 1u;
    const uint32_t middle = s->slot + (s->slot < t->look ? length : 0u) - t->look;
    if (s->heard < t->look) { return MH_NO_CODE; }
    if (mh_quality_flags_at(s, middle) & IS_MISSING) { return MH_DROPOUT; }
    if (s->constant_left != 0) { return s->constant_code; }
    if (2u * s->n_rail > length) { return MH_SATURATED; }
    return s->noisy ? MH_NOISE : MH_USABLE;
}

static void mh_quality_step(mh_quality_state_t *s, const mh_quality_table_t *t)
{
    if (s->heard < UINT16_MAX) { ++s->heard; }
    if (s->constant_left != 0) { --s->constant_left; }
    s->slot = (uint16_t)(s->slot == 2u * t->look ? 0 : s->slot + 1);
}

/* Remember how long the signal has stood still, unless it was found to be flat. */
static void mh_quality_end_run(mh_quality_state_t *s)
{
    if (!s->is_flat && s->run > s->longest) { s->longest = s->run; }
    s->is_flat = 0;
    s->run = 0;
}

/* The signal is constant up to this sample: codes up to its own will say so. */
static void mh_quality_note_constant(mh_quality_state_t *s, const mh_quality_table_t *t, uint8_t code)
{
    s->constant_code = code;
    s->constant_left = (uint16_t)(t->look + 1);
}

/* Decide whether the value has stood still for so long that the lead must be off. Between the waves of a coarsely
   quantised ECG it may stand still for half a second, but not for twice as long as it did between the waves before. */
static void mh_quality_note_run(mh_quality_state_t *s, const mh_quality_table_t *t)
{
    const int32_t before = 2 * mh_max(s->longest, s->longest_before);
    if (!s->is_flat && s->run > mh_max(t->still, before)) {
        s->is_flat = 1;
        mh_quality_note_constant(s, t, s->at_extreme ? MH_SATURATED : MH_FLAT);
    } else if (s->is_flat) {
        mh_quality_note_constant(s, t, s->constant_code);
    }
}

/* The running range: the extremes of this bucket and of the last one. */
static int32_t mh_quality_highest(const mh_quality_state_t *s) { return mh_max(s->high, s->high_before); }
static int32_t mh_quality_lowest(const mh_quality_state_t *s) { return mh_min(s->low, s->low_before); }

/* Decide whether the signal has moved between neighbouring steps of its converter only, as far as is remembered. */
static void mh_quality_note_steps(mh_quality_state_t *s, const mh_quality_table_t *t, int32_t value)
{
    const int32_t change = s->last == MH_MISSING ? 0 : mh_abs(value - s->last);
    const uint32_t extent = (uint32_t)(mh_quality_highest(s) - mh_quality_lowest(s));
    if (change > 0 && (s->step == 0 || change < s->step)) { s->step = (uint16_t)change; }
    if (s->n_valid < UINT16_MAX) { ++s->n_valid; }
    if (s->n_valid > t->look && extent << 8 <= (uint32_t)t->fewest_steps * s->step) {
        mh_quality_note_constant(s, t, MH_FLAT);
    }
}

/* Whether the signal sits at a running extreme that it reached in a jump. */
static uint8_t mh_quality_on_rail(mh_quality_state_t *s, const mh_quality_table_t *t, int32_t value)
{
    int32_t high, low, zone;
    if (s->bucket_left == 0) { /* forget the extremes of the bucket before the last */
        s->bucket_left = t->bucket;
        s->high_before = s->high;
        s->low_before = s->low;
        s->high = s->low = (int16_t)value;
        s->longest_before = s->longest;
        s->longest = 0;
    }
    --s->bucket_left;
    s->high = (int16_t)mh_max(s->high, value);
    s->low = (int16_t)mh_min(s->low, value);
    high = mh_quality_highest(s);
    low = mh_quality_lowest(s);
    zone = (int32_t)((uint64_t)t->rail_zone * (uint32_t)(high - low) >> 32);
    if (high == low || (value - low > zone && high - value > zone)) {
        s->jumped = 0;
        s->at_extreme = 0;
        return 0;
    }
    if (s->last != MH_MISSING
        && (uint64_t)mh_abs(value - s->last) << 16 > (uint64_t)t->rail_step * (uint32_t)(high - low)) {
        s->jumped = 1;
    } else if (!s->at_extreme) {
        s->jumped = 0;
    }
    s->at_extreme = 1;
    return s->jumped;
}

/* A second-order section's output for input x; the last two inputs and outputs come newest first. */
static int32_t mh_quality_section(const int32_t c[5], int32_t x, const int32_t inputs[2], const int32_t outputs[2])
{
    int64_t total = (int64_t)1 << (DIGITS - 1);
    total += (int64_t)c[0] * x;
    total += (int64_t)c[1] * inputs[0];
    total += (int64_t)c[2] * inputs[1];
    total += (int64_t)c[3] * outputs[0];
    total += (int64_t)c[4] * outputs[1];
    return (int32_t)(total >> DIGITS);
}

static void mh_quality_shift(int32_t last[2], int32_t value)
{
    last[1] = last[0];
    last[0] = value;
}

/* Add the energy of one sum of samples to that of the running block. */
static void mh_quality_filter(mh_quality_state_t *s, const mh_quality_table_t *t, int32_t value)
{
    int32_t (*const memory)[2] = s->memory;
    value = (int32_t)((uint32_t)value << t->fraction);
    for (uint32_t band = 0; band < 2; ++band) {
        int32_t *const first = memory[1 + 2 * band], *const second = memory[2 + 2 * band];
        const int32_t x = mh_quality_section(t->sections[band][0], value, memory[0], first);
        const int32_t y = mh_quality_section(t->sections[band][1], x, first, second);
        mh_quality_shift(first, x);
        mh_quality_shift(second, y);
        s->energy[band] += (uint64_t)((int64_t)y * y);
    }
    mh_quality_shift(memory[0], value);
}

/* The value among n that exceeds the share `rank` of them; the largest for the most. */
static uint32_t mh_quality_ranked(const uint16_t *values, uint32_t n, uint32_t rank)
{
    const uint32_t place = rank * n >> 16;
    if (place == n - 1) {
        uint32_t largest = 0;
        for (uint32_t i = 0; i < n; ++i) { largest = values[i] > largest ? values[i] : largest; }
        return largest;
    }
    for (uint32_t i = 0; i < n; ++i) {
        uint32_t n_below = 0, n_up_to = 0;
        for (uint32_t k = 0; k < n; ++k) {
            n_below += values[k] < values[i];
            n_up_to += values[k] <= values[i];
        }
        if (n_below <= place && place < n_up_to) { return values[i]; }
    }
    return values[0];
}

/* Take the energies of a whole block and decide whether the signal is noise. */
static void mh_quality_judge(mh_quality_state_t *s, const mh_quality_table_t *t)
{
    const uint16_t floor = mh_quality_to_short(s->energy[1]), peak = mh_quality_to_short(s->energy[0]);
    const uint32_t ratio = s->noisy ? t->leave : t->enter;
    uint64_t largest;
    uint32_t limit, n_quiet = 0;
    s->floors[s->floor_slot] = floor;
    s->floor_slot = (uint8_t)(s->floor_slot + 1 == t->n_floors ? 0 : s->floor_slot + 1);
    if (s->n_floors < t->n_floors) { ++s->n_floors; }
    if (s->peak_left == 0) {
        s->peak_left = t->peak_blocks;
        s->peak_slot = (uint8_t)(s->peak_slot + 1 == t->n_peaks ? 0 : s->peak_slot + 1);
        if (s->n_peaks < t->n_peaks) { ++s->n_peaks; }
        s->peaks[s->peak_slot] = 0;
    }
    --s->peak_left;
    if (peak > s->peaks[s->peak_slot]) { s->peaks[s->peak_slot] = peak; }
    if (s->n_floors < t->warm_up) { return; }
    largest = mh_quality_from_short(mh_quality_ranked(s->peaks, s->n_peaks, t->peak_rank));
    limit = mh_quality_to_short((largest >> 16) * ratio + ((largest & 0xFFFFu) * ratio >> 16));
    for (uint32_t k = 0; k < s->n_floors; ++k) { n_quiet += s->floors[k] <= limit; }
    if (n_quiet << 16 >= (uint32_t)t->quiet_share * s->n_floors) {
        if (s->hold == 0) { s->noisy = 0; }
    } else if (!s->noisy) {
        s->noisy = 1;
        s->hold = t->shortest_noise;
    }
}

void mh_quality_init(mh_quality_state_t *s, const mh_quality_table_t *t, uint8_t *flags, uint16_t *floors,
                     uint16_t *peaks)
{
    s->flags = flags;
    s->floors = floors;
    s->peaks = peaks;
    for (uint32_t k = 0; k < MH_QUALITY_FLAGS(t->look); ++k) { flags[k] = 0; }
    s->energy[0] = s->energy[1] = 0;
    s->last = MH_MISSING;
    s->total = 0;
    s->high = s->high_before = INT16_MIN;
    s->low = s->low_before = INT16_MAX;
    s->bucket_left = t->bucket;
    s->box_left = t->box;
    s->block_left = t->block;
    s->skip = 0;
    s->restart = 1;
    s->heard = s->n_valid = s->slot = s->n_rail = 0;
    s->run = s->longest = s->longest_before = s->constant_left = s->step = s->hold = s->drained = 0;
    s->is_flat = s->at_extreme = s->jumped = s->noisy = 0;
    s->floor_slot = s->n_floors = s->n_peaks = s->peak_left = 0;
    s->peak_slot = (uint8_t)(t->n_peaks - 1);
}

uint8_t mh_quality_push(mh_quality_state_t *s, const mh_quality_table_t *t, int32_t sample)
{
    uint32_t flags = 0;
    uint8_t code;
    if (sample == MH_MISSING) {
        flags = IS_MISSING;
        s->jumped = 0;
        mh_quality_end_run(s);
    } else {
        if (sample != s->last) { mh_quality_end_run(s); }
        if (s->run < UINT16_MAX) { ++s->run; }
        if (!s->is_flat && mh_quality_on_rail(s, t, sample) && s->heard >= t->range_known) { flags = IS_RAIL; }
        mh_quality_note_run(s, t);
        if (t->fewest_steps != 0) { mh_quality_note_steps(s, t, sample); }
        s->total += sample;
    }
    s->last = sample;
    if (flags == IS_MISSING || s->is_flat) { s->skip = s->restart = 1; }

    if (--s->box_left == 0) {
        if (!s->skip) {
            if (s->restart) {
                s->restart = 0;
                s->offset = s->total;
                for (uint32_t k = 0; k < 5; ++k) { s->memory[k][0] = s->memory[k][1] = 0; }
            }
            mh_quality_filter(s, t, s->total - s->offset);
        }
        s->box_left = t->box;
        s->total = 0;
    }
    if (--s->block_left == 0) {
        if (!s->skip) { mh_quality_judge(s, t); }
        s->block_left = t->block;
        s->skip = 0;
        s->energy[0] = s->energy[1] = 0;
    }
    if (s->hold != 0) { --s->hold; }

    mh_quality_set_flags(s, flags);
    code = mh_quality_release(s, t);
    mh_quality_step(s, t);
    return code;
}

uint8_t mh_quality_drain(mh_quality_state_t *s, const mh_quality_table_t *t)
{
    while (s->drained < t->look) {
        const uint8_t code = mh_quality_release(s, t);
        ++s->drained;
        mh_quality_step(s, t);
        if (code != MH_NO_CODE) { return code; }
    }
    return MH_NO_CODE;
}
