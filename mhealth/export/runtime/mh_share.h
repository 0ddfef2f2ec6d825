/* A part of a whole; its twin is in mhealth/_kernels/_fixed_beats.py. */
#ifndef MH_SHARE_H
#define MH_SHARE_H

#include <stdint.h>

/* part / whole as Q4.11, to twenty binary digits of whole; part <= whole, 0 < whole. */
static inline int16_t mh_share(uint32_t part, uint32_t whole)
{
    while (whole >= (uint32_t)1 << 20) {
        part >>= 1;
        whole >>= 1;
    }
    return (int16_t)(((part << 11) + whole / 2) / whole);
}

#endif
