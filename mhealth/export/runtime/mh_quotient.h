/* Division that rounds to nearest; its twin is in mhealth/_kernels/_fixed_windows.py. */
#ifndef MH_QUOTIENT_H
#define MH_QUOTIENT_H

#include <stdint.h>

/* value / divisor, halves away from zero; divisor > 0, |value| + divisor / 2 < 2^31. */
static inline int32_t mh_quotient(int32_t value, int32_t divisor)
{
    const int32_t half = divisor >> 1;
    return (value + (value < 0 ? -half : half)) / divisor;
}

#endif
