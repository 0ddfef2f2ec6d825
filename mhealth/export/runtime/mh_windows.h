/* Windows around a candidate: averages over bins, without mean or trend, compressed to within 1.
   The twin of every loop is mhealth/_kernels/_fixed_windows.py. */
#ifndef MH_WINDOWS_H
#define MH_WINDOWS_H

#include "mh.h"

#define MH_WINDOWS_MOST_POINTS 63 /* for which no sum of mh_windows_cut or mh_codes_push overflows */

typedef struct {
    const uint8_t *widths;  /* samples of each bin, 127 at most */
    int32_t inverse_moment; /* 2^31 / sum of (2 b - n_points + 1)^2 over the bins b; 0: the trend stays */
    int16_t start, stop;    /* before the first bin and after the last one, in samples from the candidate */
    uint8_t n_points;
} mh_window_t;

/* Writes the n_points averages around a candidate in 1/256 ADC units, without their mean or trend. Samples first to
   end - 1 count and must be in the ring; a bin without any takes the value of its neighbour. first <= position < end. */
void mh_windows_cut(const mh_window_t *window, const mh_signal_t *signal, uint32_t first, uint32_t end,
                    uint32_t position, int32_t *bins);

/* Where compression comes half way, in 1/256 ADC units, at least 1: the running scale (Q24.8) by the knee (Q4.12). */
uint32_t mh_windows_level(uint32_t scale_q8, uint16_t knee);

/* Compresses values of at most 2^30 as x / (|x| + level) to Q1.14; level > 0. */
void mh_windows_compress(const int32_t *bins, uint32_t n_points, uint32_t level, int16_t *window);

#endif
