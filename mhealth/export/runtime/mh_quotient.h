/* Division that rounds to nearest, and logarithms; the twin is in mhealth/_kernels/_fixed_windows.py. */
#ifndef MH_QUOTIENT_H
#define MH_QUOTIENT_H

#include <stdint.h>

/* value / divisor, halves away from zero; divisor > 0, |value| + divisor / 2 < 2^31. */
static inline int32_t mh_quotient(int32_t value, int32_t divisor)
{
    const int32_t half = divisor >> 1;
    return (value + (value < 0 ? -half : half)) / divisor;
}

/* The place of the highest bit of a value > 0. */
static inline uint32_t mh_highest_bit(uint32_t value)
{
#if defined(__GNUC__) && !defined(MH_NO_BUILTINS)
    return 31u - (uint32_t)__builtin_clz(value);
#else
    uint32_t bit = 0;
    while ((value >>= 1) != 0) { bit++; }
    return bit;
#endif
}

#endif
