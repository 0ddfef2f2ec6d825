/* Included first by files in which most of the time is spent: there a compiler that is told to save flash saves time
   instead, and makes no calls to memset. It is said here, not in a makefile, so that every way to build says it.
   A model that spends most of its time elsewhere does without. */
#ifndef MH_FAST_H
#define MH_FAST_H

#include "mh_parts.h"
#include "mh_unroll.h"

#if MH_WITH_SPEED && defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE_SIZE__)
#pragma GCC optimize("O2", "no-tree-loop-distribute-patterns")
#endif

#endif
