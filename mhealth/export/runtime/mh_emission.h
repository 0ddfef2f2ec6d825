/* From what describes a candidate to log potentials of the states around it: layers of non-negative codes, then a
   linear map. The twin of every loop is mhealth/_kernels/_fixed_emission.py. */
#ifndef MH_EMISSION_H
#define MH_EMISSION_H

#include "mh_codes.h"

#define MH_EMISSION_FRACTION 10 /* bits after the point of hidden codes, Q5.10 */

typedef struct {
    const uint32_t *weights;    /* [column / 4][row], packed as atoms are */
    const int32_t *multipliers; /* of each column: sums times this / 2^32 are in the format of the layer's outputs */
    uint16_t n_rows, n_columns; /* 511 rows at most, that no sum overflows; but any number of codes' columns */
} mh_layer_t;

typedef struct {
    mh_layer_t of_dense; /* of numbers in Q4.11 */
    mh_layer_t of_codes; /* of codes in Q3.12; without rows if there are no codes */
    mh_layer_t second;   /* of hidden codes */
    mh_layer_t last;     /* 6 n_states columns: potentials in Q7.8, then shifts in whole samples */
    const int16_t *threshold, *second_threshold; /* Q5.10 */
    const int16_t *bias;                         /* Q7.8; of shifts 1/256 sample */
    uint8_t n_states;
    int8_t farthest; /* samples by which an edge lies off its candidate at most */
} mh_emission_table_t;

/* Buffers of the caller, whose contents need not last between calls. */
typedef struct {
    mh_code_t *first;  /* of_dense.n_columns */
    mh_code_t *second; /* second.n_columns */
} mh_emission_state_t;

/* Writes 4 n_states potentials (inside, onset, offset, middle; each of all states) in 1/256 nat, and 2 n_states shifts
   (onset and offset of each state) in samples. */
void mh_emission_push(mh_emission_state_t *state, const mh_emission_table_t *table, const int16_t *dense,
                      const mh_code_t *codes, uint32_t n_codes, int16_t *potentials, int8_t *shifts);

#endif
