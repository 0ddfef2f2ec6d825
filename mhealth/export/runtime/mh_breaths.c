#include "mh_breaths.h"

#include "mh_fixed.h"
#include "mh_quotient.h"
#include "mh_share.h"

enum {
    N_BEFORE = 6,   /* turns before a candidate that are described one by one */
    N_RELATIVE = 3, /* of these, those that are also compared with the usual breath */
    HORIZON = 40,   /* seconds over which a breath counts as usual */
    FAR = 8,        /* seconds; stands for a turn that is not there */
    SLOWEST = 12,   /* seconds between two breaths, beyond which the period tells nothing more */
    UNKNOWN = 4,    /* seconds between breaths, where fewer than three are known */
    ONE = 2048      /* of Q4.11 */
};

/* What is usual among the turns that are remembered; zero where too few are. */
typedef struct {
    int32_t twice_size, twice_period;
} mh_breaths_usual_t;

static int32_t mh_breaths_value(const mh_breaths_state_t *s, const mh_breaths_table_t *t, uint32_t turn)
{
    return s->values[turn & (t->n_turns - 1u)];
}

/* Samples from turn a to turn b. */
static int32_t mh_breaths_elapsed(const mh_breaths_state_t *s, const mh_breaths_table_t *t, uint32_t a, uint32_t b)
{
    const uint32_t mask = t->n_turns - 1u;
    return (uint16_t)(s->positions[b & mask] - s->positions[a & mask]);
}

/* Sort a number in among n. */
static void mh_breaths_insert(uint16_t *ordered, uint32_t n, uint16_t value)
{
    for (; n > 0 && ordered[n - 1] > value; --n) { ordered[n] = ordered[n - 1]; }
    ordered[n] = value;
}

static int32_t mh_breaths_twice_median(const uint16_t *ordered, uint32_t n)
{
    return ordered[(n - 1) / 2] + ordered[n / 2];
}

/* Size and period of the usual breath among turns `first` to `last`. */
static mh_breaths_usual_t mh_breaths_usual(const mh_breaths_state_t *s, const mh_breaths_table_t *t, uint32_t first,
                                           uint32_t last)
{
    mh_breaths_usual_t usual = {0, 0};
    uint16_t ordered[MH_BREATHS_MOST];
    const uint32_t n = last - first;
    uint32_t n_small = 0, count = 0, previous = 0, rank;
    int32_t large, step, is_first = 1;
    if (n < 3) { return usual; }
    for (uint32_t k = 0; k < n; ++k) {
        const int32_t swing = mh_breaths_value(s, t, first + k + 1) - mh_breaths_value(s, t, first + k);
        mh_breaths_insert(ordered, k, (uint16_t)mh_abs(swing));
    }
    /* Ten times the 90 % quantile, by linear interpolation. A breath is larger than half of that. */
    rank = 9 * (n - 1) / 10;
    step = ordered[rank < n - 1 ? rank + 1 : rank] - ordered[rank];
    large = 10 * ordered[rank] + (int32_t)(9 * (n - 1) % 10) * step;
    while (n_small < n - 1 && 20 * ordered[n_small] <= large) { ++n_small; }
    usual.twice_size = mh_breaths_twice_median(ordered + n_small, n - n_small);
    for (uint32_t k = first + 1; k != last + 1; ++k) {
        if (20 * (mh_breaths_value(s, t, k) - mh_breaths_value(s, t, k - 1)) <= large) { continue; }
        if (!is_first) { mh_breaths_insert(ordered, count++, (uint16_t)mh_breaths_elapsed(s, t, previous, k)); }
        is_first = 0;
        previous = k;
    }
    if (count >= 2) { usual.twice_period = mh_breaths_twice_median(ordered, count); }
    return usual;
}

void mh_breaths_init(mh_breaths_state_t *s, int16_t *values, uint16_t *positions)
{
    s->values = values;
    s->positions = positions;
    s->n_known = 0;
}

void mh_breaths_note(mh_breaths_state_t *s, const mh_breaths_table_t *t, const mh_signal_t *signal, uint32_t position)
{
    const uint32_t slot = s->n_known & (t->n_turns - 1u);
    s->values[slot] = mh_sample(signal, position);
    s->positions[slot] = (uint16_t)position;
    ++s->n_known;
}

void mh_breaths_describe(const mh_breaths_state_t *s, const mh_breaths_table_t *t, uint32_t scale_q8, int16_t *dense)
{
    const uint32_t here = s->n_known - 1;
    uint32_t first = s->n_known > t->n_turns ? s->n_known - t->n_turns : 0;
    const uint32_t oldest = first;
    mh_breaths_usual_t usual;
    while (mh_breaths_elapsed(s, t, first, here) > HORIZON * t->rate) { ++first; }
    usual = mh_breaths_usual(s, t, first, here);
    if (usual.twice_period == 0) { usual.twice_period = 2 * UNKNOWN * t->rate; }
    for (uint32_t k = 1; k <= N_BEFORE; ++k) {
        int16_t *const own = dense + 2 * (k - 1);
        int32_t rise = 0, elapsed = FAR * t->rate;
        if (here - oldest >= k) {
            rise = mh_breaths_value(s, t, here) - mh_breaths_value(s, t, here - k);
            elapsed = mh_breaths_elapsed(s, t, here - k, here);
        }
        own[0] = mh_share((uint32_t)mh_abs(rise) << 8, ((uint32_t)mh_abs(rise) << 8) + scale_q8);
        if (rise < 0) { own[0] = (int16_t)-own[0]; }
        own[1] = (int16_t)mh_quotient(mh_min(elapsed, FAR * t->rate) * ONE, 4 * t->rate);
        if (k <= N_RELATIVE) {
            int16_t *const relative = own + 2 * N_BEFORE + 2;
            relative[0] = 0;
            if (usual.twice_size > 0) {
                relative[0] = (int16_t)mh_clip(mh_quotient(rise * (2 * ONE), usual.twice_size), -2 * ONE, 2 * ONE);
            }
            relative[1] = (int16_t)mh_min(mh_quotient(elapsed * (2 * ONE), usual.twice_period), 3 * ONE);
        }
    }
    dense[2 * N_BEFORE] = mh_share((uint32_t)usual.twice_size << 7, ((uint32_t)usual.twice_size << 7) + scale_q8);
    dense[2 * N_BEFORE + 1]
        = (int16_t)mh_quotient(mh_min(usual.twice_period, 2 * SLOWEST * t->rate) * ONE, 12 * t->rate);
}
