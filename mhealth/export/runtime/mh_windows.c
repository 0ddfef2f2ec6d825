#include "mh_fast.h"

#include "mh_windows.h"

#include "mh_fixed.h"
#include "mh_quotient.h"

#define EMPTY INT32_MIN /* a bin without samples */

/* The sum of samples, which follow each other in memory: few branches, as most of a window's time goes here. */
static inline int32_t sum_of(const int16_t *x, uint32_t count)
{
    int32_t sum = 0;
    for (uint32_t n = count >> 3; n != 0; n--, x += 8) {
        sum += x[0] + x[1] + x[2] + x[3] + x[4] + x[5] + x[6] + x[7];
    }
    switch (count & 7u) {
    case 7: sum += x[6]; /* fall through */
    case 6: sum += x[5]; /* fall through */
    case 5: sum += x[4]; /* fall through */
    case 4: sum += x[3]; /* fall through */
    case 3: sum += x[2]; /* fall through */
    case 2: sum += x[1]; /* fall through */
    case 1: sum += x[0]; /* fall through */
    default: return sum;
    }
}

/* The same of samples n to n + count - 1 of the ring, which may go on at its start. */
static int32_t sum_around(const mh_signal_t *signal, uint32_t n, int32_t count)
{
    int32_t sum = 0;
    for (; count > 0; count--) { sum += mh_sample(signal, n++); }
    return sum;
}

/* Averages bins of which all samples count; `edge` is the first. */
static void average(const mh_window_t *window, const mh_signal_t *signal, uint32_t edge, int32_t *bins)
{
    const uint8_t *width = window->widths, *const end = width + window->n_points;
    const int16_t *x = signal->samples + (edge & signal->mask);
    int32_t left = (int32_t)(signal->mask + 1u - (edge & signal->mask)); /* samples up to where the ring ends */
    for (; width != end; width++) {
        int32_t sum;
        left -= *width;
        if (left >= 0) {
            sum = sum_of(x, *width);
            x += *width;
        } else {
            sum = sum_around(signal, (uint32_t)(x - signal->samples), *width);
            x = signal->samples - left;
            left += (int32_t)signal->mask + 1;
        }
        *bins++ = mh_quotient(sum * 256, *width);
    }
}

/* Averages bins of which samples first to end - 1 count, and gives those without any the value of the nearest one that
   has some, zero if there is none. */
static void average_known(const mh_window_t *window, const mh_signal_t *signal, uint32_t edge, uint32_t first,
                          uint32_t end, int32_t *bins)
{
    const int32_t n_points = window->n_points;
    for (int32_t b = 0; b < n_points; b++) {
        const uint32_t n = edge + (uint32_t)mh_max(0, (int32_t)(first - edge));
        int32_t count;
        edge += window->widths[b];
        count = (int32_t)(edge - n) - mh_max(0, (int32_t)(edge - end));
        bins[b] = count <= 0 ? EMPTY : mh_quotient(sum_around(signal, n, count) * 256, count);
    }
    for (int32_t b = n_points - 1; b > 0; b--) {
        if (bins[b - 1] == EMPTY) { bins[b - 1] = bins[b]; }
    }
    for (int32_t b = 0; b < n_points; b++) {
        if (bins[b] == EMPTY) { bins[b] = b == 0 ? 0 : bins[b - 1]; }
    }
}

/* The sum of the bins; in `tilt` that of each times twice its place from the middle. */
static int32_t sum_of_bins(const int32_t *bins, int32_t n_points, int32_t *tilt)
{
    int32_t total = 0;
    *tilt = 0;
    MH_UNROLL
    for (int32_t b = 0, place = 1 - n_points; b < n_points; b++, place += 2) {
        total += bins[b];
        *tilt += (bins[b] >> 4) * place; /* 32 bits hold no more */
    }
    return total;
}

/* Takes mean and slope away. A bin's share of the slope is in 1/64. */
static void level_bins(int32_t *bins, int32_t n_points, int32_t mean, int32_t slope)
{
    int32_t trend = slope * (1 - n_points) + 32;
    MH_UNROLL
    for (int32_t b = 0; b < n_points; b++, trend += 2 * slope) { bins[b] -= mean + (trend >> 6); }
}

void mh_windows_cut(const mh_window_t *window, const mh_signal_t *signal, uint32_t first, uint32_t end,
                    uint32_t position, int32_t *bins)
{
    const int32_t n_points = window->n_points, start = window->start;
    const int32_t oldest = -(int32_t)(position - first), newest = (int32_t)(end - position);
    int32_t tilt;
    if (start < oldest || window->stop > newest) {
        average_known(window, signal, position + (uint32_t)start, first, end, bins);
    } else {
        average(window, signal, position + (uint32_t)start, bins);
    }
    const int32_t mean = mh_quotient(sum_of_bins(bins, n_points, &tilt), n_points);
    const int64_t rise = (int64_t)tilt * window->inverse_moment;
    level_bins(bins, n_points, mean, (int32_t)((rise + ((int64_t)1 << 20)) >> 21));
}

uint32_t mh_windows_level(uint32_t scale_q8, uint16_t knee)
{
    const uint64_t level = ((uint64_t)scale_q8 * knee) >> 12;
    return level >= (uint64_t)1 << 30 ? (uint32_t)1 << 30 : level == 0 ? 1u : (uint32_t)level;
}

void mh_windows_compress(const int32_t *bins, uint32_t n_points, uint32_t level, int16_t *window)
{
    MH_UNROLL_TWICE
    for (uint32_t b = 0; b < n_points; b++) {
        const uint32_t size = (uint32_t)mh_abs(bins[b]), all = size + level;
        const uint32_t shift = (uint32_t)mh_max(0, (int32_t)mh_highest_bit(all) - 16); /* leaves 17 bits */
        const uint32_t whole = all >> shift;
        const int32_t share = (int32_t)((((size >> shift) << 14) + (whole >> 1)) / whole);
        window[b] = (int16_t)(bins[b] < 0 ? -share : share);
    }
}
