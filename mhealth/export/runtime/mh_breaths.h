/* A candidate's place among the turns of the breaths before it. Twin: mhealth/_kernels/_fixed_breaths.py. */
#ifndef MH_BREATHS_H
#define MH_BREATHS_H

#include "mh.h"

#define MH_BREATHS_MOST 128u /* turns that a table may ask for */
#define MH_BREATHS_DENSE 20  /* numbers that describe a candidate */

typedef struct {
    uint8_t rate;    /* samples a second */
    uint8_t n_turns; /* that are remembered: a power of two from 8 to MH_BREATHS_MOST */
} mh_breaths_table_t;

typedef struct {
    int16_t *values;     /* n_turns; turn k lies at k mod n_turns */
    uint16_t *positions; /* n_turns, modulo 2^16: no two neighbours are that far apart */
    uint32_t n_known;
} mh_breaths_state_t;

/* Start a stretch. The buffers must live as long as the state. */
void mh_breaths_init(mh_breaths_state_t *state, int16_t *values, uint16_t *positions);

/* Take note of the next candidate of the stretch; its sample is in the ring. */
void mh_breaths_note(mh_breaths_state_t *state, const mh_breaths_table_t *table, const mh_signal_t *signal,
                     uint32_t position);

/* Describe the latest candidate that was noted: MH_BREATHS_DENSE numbers, Q4.11 each, see breath_context in
   mhealth/_kernels/_breaths.py. */
void mh_breaths_describe(const mh_breaths_state_t *state, const mh_breaths_table_t *table, uint32_t scale_q8,
                         int16_t *dense);

#endif
