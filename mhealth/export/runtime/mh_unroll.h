/* Loops that a Cortex-M3 goes through often, where a taken branch costs as much as two products. */
#ifndef MH_UNROLL_H
#define MH_UNROLL_H

#include "mh_parts.h"

/* Before a loop: so many rounds a turn. */
#if MH_WITH_SPEED && defined(__GNUC__) && !defined(__clang__)
#define MH_UNROLL _Pragma("GCC unroll 4")
#define MH_UNROLL_TWICE _Pragma("GCC unroll 2")
#else
#define MH_UNROLL
#define MH_UNROLL_TWICE
#endif

#endif
