/* Sparse codes of a candidate's windows: orthogonal matching pursuit over small dictionaries.
   The twin of every loop is mhealth/_kernels/_fixed_codes.py. */
#ifndef MH_CODES_H
#define MH_CODES_H

#include "mh_windows.h"

#define MH_CODES_MOST_NONZERO 5 /* atoms a window may take */

/* Tables of int8 weights are packed in words of four neighbouring columns, the first in the lowest byte: words of the
   first four columns, row by row, then those of the next four. Columns that are not there weigh nothing. */
typedef struct {
    const uint32_t *atoms;        /* [atom / 4][point], each atom times a number of its own */
    const uint16_t *multipliers;  /* of each atom: products with it times this / 2^11 are in Q6.25 */
    const int16_t *gram;          /* [atom][atom], inner products, Q2.13 */
    uint16_t n_atoms;
    uint8_t n_points;
} mh_dictionary_t;

typedef struct {
    const mh_window_t *windows;          /* cut from the signal */
    const mh_dictionary_t *dictionaries; /* of the windows, then of those of the context */
    uint16_t knee;                       /* Q4.12 */
    uint8_t n_windows, n_context, n_nonzero;
} mh_codes_table_t;

/* How much there is of a column. */
typedef struct {
    uint16_t column;
    int16_t value;
} mh_code_t;

/* Buffers of the caller, whose contents need not last between calls but for the codes, the result. */
typedef struct {
    int32_t *work;    /* MH_CODES_WORK_SIZE(points of the longest window, atoms of the largest dictionary) */
    int16_t *window;  /* points of the longest window */
    mh_code_t *codes; /* MH_CODES_SIZE(n_windows + n_context, n_nonzero) */
} mh_codes_state_t;

#define MH_CODES_FOURS(n) (((n) + 3u) & ~3u) /* sums come four at a time */
#define MH_CODES_WORK_SIZE(longest, most_atoms)                                                                        \
    ((longest) > MH_CODES_FOURS(most_atoms) ? (longest) : MH_CODES_FOURS(most_atoms))
#define MH_CODES_SIZE(n_dictionaries, n_nonzero) ((n_dictionaries) * (n_nonzero))

/* Sums of values times rows of weights: of every row and n_columns columns, rounded up to four; and of the rows that
   codes name and four columns. */
void mh_sums(const uint32_t *weights, const int16_t *values, uint32_t count, uint32_t n_columns, int32_t *sums);
void mh_sums_of_codes(const uint32_t *weights, const mh_code_t *codes, uint32_t count, int32_t sums[4]);

/* Codes the windows of a candidate; returns the number of codes (values in Q3.12, not negative) written. An atom has
   two columns, for positive coefficients and, n_atoms later, for negative ones; those of a dictionary follow those of
   the one before. first, end, position: see mh_windows_cut. context: its windows one after the other, in 1/256 ADC
   units, at most 2^30; NULL if there are none. */
uint32_t mh_codes_push(mh_codes_state_t *state, const mh_codes_table_t *table, const mh_signal_t *signal,
                       uint32_t first, uint32_t end, uint32_t position, uint32_t scale_q8, const int32_t *context);

#endif
