/* Whole-number arithmetic that the stages share; its twin is mhealth/_kernels/_fixed.py. */
#ifndef MH_FIXED_H
#define MH_FIXED_H

#include <stdint.h>

/* A sample that is missing: dropout, lead off. */
#define MH_MISSING INT32_MIN

/* The stages shift negative numbers to the right and rely on that rounding down. */
typedef char mh_shifts_arithmetically[((-3) >> 1) == -2 ? 1 : -1];

static inline int32_t mh_min(int32_t a, int32_t b) { return a < b ? a : b; }
static inline int32_t mh_max(int32_t a, int32_t b) { return a > b ? a : b; }
static inline int32_t mh_abs(int32_t a) { return a < 0 ? -a : a; }
static inline int32_t mh_clip(int32_t value, int32_t low, int32_t high) { return mh_min(mh_max(value, low), high); }
static inline int16_t mh_to_int16(int32_t value) { return (int16_t)mh_clip(value, INT16_MIN, INT16_MAX); }
static inline int8_t mh_to_int8(int32_t value) { return (int8_t)mh_clip(value, INT8_MIN, INT8_MAX); }

/* value / 2^shift, halves up; shift >= 0. */
static inline int32_t mh_rounded_shift(int32_t value, int32_t shift)
{
    return shift == 0 ? value : (int32_t)(((int64_t)value + ((int64_t)1 << (shift - 1))) >> shift);
}

/* value * multiplier * 2^(shift - 31), rounded twice as LiteRT's reference kernels do: halves up, then away from zero.
   multiplier in [2^30, 2^31) or 0; shift in [-31, 30] and |value| * 2^shift < 2^31. */
static inline int32_t mh_rescaled(int32_t value, int32_t multiplier, int32_t shift)
{
    const int32_t left = shift > 0 ? shift : 0, right = shift < 0 ? -shift : 0;
    const int64_t product = ((int64_t)value * ((int64_t)1 << left)) * (int64_t)multiplier;
    const int32_t high = (int32_t)((product + ((int64_t)1 << 30)) >> 31);
    const int32_t mask = (int32_t)(((int64_t)1 << right) - 1);
    const int32_t threshold = (mask >> 1) + (high < 0 ? 1 : 0);
    return (int32_t)((int64_t)high >> right) + (((high & mask) > threshold) ? 1 : 0);
}

/* The largest whole number whose square is at most value. */
static inline uint32_t mh_root(uint32_t value)
{
    uint32_t root = 0, bit = (uint32_t)1 << 30;
    while (bit > value) { bit >>= 2; }
    while (bit != 0) {
        if (value >= root + bit) {
            value -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
        bit >>= 2;
    }
    return root;
}

#endif
