#include "mh_windows.h"

#include "mh_fixed.h"
#include "mh_quotient.h"

void mh_windows_cut(const mh_window_t *window, const mh_signal_t *signal, uint32_t first, uint32_t end,
                    uint32_t position, int32_t *bins)
{
    const int32_t n_points = window->n_points;
    const int32_t oldest = -(int32_t)(position - first), newest = (int32_t)(end - position);
    int32_t low = n_points, high = 0, edge = window->start, total = 0, slope = 0;
    int64_t tilt = 0;
    for (int32_t b = 0; b < n_points; b++) {
        const int32_t start = mh_max(edge, oldest);
        edge += window->widths[b];
        const int32_t stop = mh_min(edge, newest);
        bins[b] = 0;
        if (start < stop) {
            int32_t sum = 0;
            for (int32_t n = start; n < stop; n++) { sum += mh_sample(signal, position + (uint32_t)n); }
            bins[b] = mh_quotient(sum * 256, stop - start);
            low = mh_min(low, b);
            high = b + 1;
        }
    }
    for (int32_t b = 0; b < low && high > 0; b++) { bins[b] = bins[low]; }
    for (int32_t b = high; b < n_points && high > 0; b++) { bins[b] = bins[high - 1]; }
    for (int32_t b = 0; b < n_points; b++) { total += bins[b]; }
    const int32_t mean = mh_quotient(total, n_points);
    for (int32_t b = 0; b < n_points; b++) {
        bins[b] -= mean;
        tilt += (int64_t)bins[b] * (2 * b - n_points + 1);
    }
    if (window->inverse_moment == 0) { return; }
    slope = (int32_t)((tilt * window->inverse_moment + ((int64_t)1 << 24)) >> 25); /* 1/64 of the unit of a bin */
    for (int32_t b = 0; b < n_points; b++) { bins[b] -= mh_rounded_shift(slope * (2 * b - n_points + 1), 6); }
}

uint32_t mh_windows_level(uint32_t scale_q8, uint16_t knee)
{
    const uint64_t level = ((uint64_t)scale_q8 * knee) >> 12;
    return level < ((uint64_t)1 << 30) ? (uint32_t)level : (uint32_t)1 << 30;
}

void mh_windows_compress(const int32_t *bins, uint32_t n_points, uint32_t level, int16_t *window)
{
    for (uint32_t b = 0; b < n_points; b++) {
        uint32_t size = (uint32_t)mh_abs(bins[b]), all = size + level;
        while (all >= (uint32_t)1 << 17) { /* so that the numerator below has 32 bits */
            size >>= 1;
            all >>= 1;
        }
        const int32_t share = all == 0 ? 0 : (int32_t)(((size << 14) + (all >> 1)) / all);
        window[b] = (int16_t)(bins[b] < 0 ? -share : share);
    }
}
