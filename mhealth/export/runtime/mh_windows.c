#include "mh_windows.h"

#include "mh_fixed.h"
#include "mh_quotient.h"

#define EMPTY INT32_MIN /* a bin without samples */

/* Gives bins without samples the value of the nearest one that has some, zero if there is none; returns the sum. */
static int32_t fill(int32_t *bins, int32_t n_points)
{
    int32_t total = 0;
    for (int32_t b = n_points - 1; b > 0; b--) {
        if (bins[b - 1] == EMPTY) { bins[b - 1] = bins[b]; }
    }
    for (int32_t b = 0; b < n_points; b++) {
        if (bins[b] == EMPTY) { bins[b] = b == 0 ? 0 : bins[b - 1]; }
        total += bins[b];
    }
    return total;
}

void mh_windows_cut(const mh_window_t *window, const mh_signal_t *signal, uint32_t first, uint32_t end,
                    uint32_t position, int32_t *bins)
{
    const int16_t *const samples = signal->samples;
    const uint8_t *const widths = window->widths;
    const uint32_t mask = signal->mask;
    const int32_t n_points = window->n_points;
    const int32_t oldest = -(int32_t)(position - first), newest = (int32_t)(end - position);
    const int is_cut = window->start < oldest || window->stop > newest;
    const int32_t start = window->start;
    uint32_t edge = position + (uint32_t)start;
    int32_t total = 0, tilt = 0;
    for (int32_t b = 0; b < n_points; b++) {
        uint32_t n = edge, stop = edge + widths[b];
        edge = stop;
        if (is_cut) {
            n += (uint32_t)mh_max(0, (int32_t)(first - n));
            stop -= (uint32_t)mh_max(0, (int32_t)(stop - end));
            if ((int32_t)(stop - n) <= 0) {
                bins[b] = EMPTY;
                continue;
            }
        }
        const int32_t count = (int32_t)(stop - n);
        int32_t sum = 0;
        if ((count & 1) != 0) { sum = samples[n++ & mask]; }
        if ((count & 2) != 0) {
            sum += samples[n & mask] + samples[(n + 1) & mask];
            n += 2;
        }
        for (; n != stop; n += 4) { /* four a turn, as a taken branch costs much */
            sum += samples[n & mask] + samples[(n + 1) & mask] + samples[(n + 2) & mask] + samples[(n + 3) & mask];
        }
        bins[b] = mh_quotient(sum * 256, count);
        total += bins[b];
    }
    if (is_cut) { total = fill(bins, n_points); }
    const int32_t mean = mh_quotient(total, n_points);
    for (int32_t b = 0; b < n_points; b++) {
        bins[b] -= mean;
        tilt += (bins[b] >> 4) * (2 * b - n_points + 1); /* 32 bits hold no more */
    }
    if (window->inverse_moment == 0) { return; }
    const int64_t rise = (int64_t)tilt * window->inverse_moment;
    const int32_t slope = (int32_t)((rise + ((int64_t)1 << 20)) >> 21); /* 1/64 of a bin's unit */
    for (int32_t b = 0; b < n_points; b++) { bins[b] -= (slope * (2 * b - n_points + 1) + 32) >> 6; }
}

uint32_t mh_windows_level(uint32_t scale_q8, uint16_t knee)
{
    const uint64_t level = ((uint64_t)scale_q8 * knee) >> 12;
    return level < ((uint64_t)1 << 30) ? (uint32_t)level : (uint32_t)1 << 30;
}

void mh_windows_compress(const int32_t *bins, uint32_t n_points, uint32_t level, int16_t *window)
{
    for (uint32_t b = 0; b < n_points; b++) {
        const uint32_t size = (uint32_t)mh_abs(bins[b]), all = size + level;
        const uint32_t bit = mh_highest_bit(all | 1u), shift = bit > 16 ? bit - 16 : 0; /* leaves 17 bits */
        const uint32_t whole = all >> shift, half = whole >> 1;
        const int32_t share = all == 0 ? 0 : (int32_t)((((size >> shift) << 14) + half) / whole);
        window[b] = (int16_t)(bins[b] < 0 ? -share : share);
    }
}
