#include "mh_fast.h"

#include "mh_codes.h"

#include "mh_fixed.h"
#include "mh_quotient.h"

#define MOST_EARLIER (MH_CODES_MOST_NONZERO - 1)
#define ONE ((int32_t)1 << 26)        /* 1 in Q26 */
#define NEGLIGIBLE ((int32_t)1 << 13) /* Q6.25: less than the resolution of the codes */
#define DEPENDENT ((int32_t)1 << 22)  /* 1/16 in Q26: an atom with less of its energy outside the chosen ones is dropped */

/* Adds four weights times a value to sums in registers. */
#define ADD_ROW(word, value)                                \
    do {                                                    \
        first += (int8_t)((word) & 0xffu) * (value);        \
        second += (int8_t)((word) >> 8 & 0xffu) * (value);  \
        third += (int8_t)((word) >> 16 & 0xffu) * (value);  \
        fourth += (int8_t)((word) >> 24) * (value);         \
    } while (0)

/* Both sums take four rows a turn: a taken branch costs a Cortex-M3 as much as two products. */
#define FOURS(count) (MH_WITH_SPEED ? (count) & ~(uint32_t)3 : 0u)

void mh_sums(const uint32_t *weights, const int16_t *values, uint32_t count, uint32_t n_columns, int32_t *sums)
{
    const int32_t *const end_of_sums = sums + n_columns;
    for (; sums < end_of_sums; sums += 4) {
        const uint32_t *const end = weights + count, *const last = weights + FOURS(count);
        const int16_t *value = values;
        int32_t first = 0, second = 0, third = 0, fourth = 0;
        for (; weights != last; weights += 4, value += 4) {
            ADD_ROW(weights[0], value[0]);
            ADD_ROW(weights[1], value[1]);
            ADD_ROW(weights[2], value[2]);
            ADD_ROW(weights[3], value[3]);
        }
        for (; weights != end; weights++, value++) { ADD_ROW(*weights, *value); }
        sums[0] = first;
        sums[1] = second;
        sums[2] = third;
        sums[3] = fourth;
    }
}

void mh_sums_of_codes(const uint32_t *weights, const mh_code_t *codes, uint32_t count, int32_t sums[4])
{
    const mh_code_t *const end = codes + count, *const last = codes + FOURS(count);
    int32_t first = 0, second = 0, third = 0, fourth = 0;
    for (; codes != last; codes += 4) {
        ADD_ROW(weights[codes[0].column], codes[0].value);
        ADD_ROW(weights[codes[1].column], codes[1].value);
        ADD_ROW(weights[codes[2].column], codes[2].value);
        ADD_ROW(weights[codes[3].column], codes[3].value);
    }
    for (; codes != end; codes++) { ADD_ROW(weights[codes->column], codes->value); }
    sums[0] = first;
    sums[1] = second;
    sums[2] = third;
    sums[3] = fourth;
}

/* Inner products of a window with all atoms, Q6.25; returns the first of the largest. */
static uint32_t correlate(const mh_dictionary_t *dictionary, const int16_t *window, int32_t *correlation)
{
    const uint16_t *const multipliers = dictionary->multipliers;
    const uint32_t n_atoms = dictionary->n_atoms;
    uint32_t best = 0;
    int32_t most = 0;
    mh_sums(dictionary->atoms, window, dictionary->n_points, n_atoms, correlation);
    MH_UNROLL_TWICE
    for (uint32_t k = 0; k < n_atoms; k++) {
        const int32_t value = (int32_t)(((int64_t)correlation[k] * multipliers[k] + (1 << 10)) >> 11);
        correlation[k] = value;
        if (mh_abs(value) > most) {
            most = mh_abs(value);
            best = k;
        }
    }
    return best;
}

/* The chosen atoms of a window, and what is needed to fit them again with one more. */
typedef struct {
    uint32_t count;
    uint32_t atoms[MH_CODES_MOST_NONZERO];
    const int16_t *rows[MH_CODES_MOST_NONZERO];  /* of the Gram matrix */
    int32_t coefficients[MH_CODES_MOST_NONZERO]; /* Q12, within 16 bits */
    int32_t energies[MH_CODES_MOST_NONZERO];     /* Q13: D of the Gram matrix L D L' of the chosen atoms */
    int32_t shares[MH_CODES_MOST_NONZERO];       /* Q12: the solution of L D y = correlations with the window */
    int32_t triangle[MOST_EARLIER][MOST_EARLIER]; /* Q13: L below its first row and its diagonal of ones */
} mh_fit_t;

/* Part of an atom's correlation that the chosen atom s explains. */
#define PART(s, atom) (fit->rows[s][atom] * fit->coefficients[s])

/* Looks for the atom of which most is left, of equals the first; LEFT tells what is of an atom. */
#define FIND_LARGEST(LEFT)                      \
    MH_UNROLL_TWICE                             \
    for (uint32_t k = 0; k < n_atoms; k++) {    \
        const int32_t size = mh_abs(LEFT(k));   \
        if (size > most) {                      \
            most = size;                        \
            best = k;                           \
        }                                       \
    }                                           \
    *found = LEFT(best);                        \
    break
#define LEFT_1(k) (correlation[k] - PART(0, k))
#define LEFT_2(k) (LEFT_1(k) - PART(1, k))
#define LEFT_3(k) (LEFT_2(k) - PART(2, k))
#define LEFT_4(k) (LEFT_3(k) - PART(3, k))

/* The atom that correlates most with what is left of the window; its correlation. Nothing but rounding is left of the
   chosen ones, one at least. Most time goes here, so each number of chosen atoms has its own loop. */
static uint32_t largest(const mh_fit_t *fit, const mh_dictionary_t *dictionary, const int32_t *correlation,
                        int32_t *found)
{
    const uint32_t n_atoms = dictionary->n_atoms;
    uint32_t best = 0;
    int32_t most = 0;
    switch (fit->count) {
    case 1: FIND_LARGEST(LEFT_1);
    case 2: FIND_LARGEST(LEFT_2);
    case 3: FIND_LARGEST(LEFT_3);
    default: FIND_LARGEST(LEFT_4);
    }
    return best;
}

/* Adds an atom to the factors; returns whether it can be told from the chosen ones. No number exceeds the limits that it
   is kept to but by rounding: the part of an atom along another has at most the energy of either. */
static int extend(mh_fit_t *fit, const mh_dictionary_t *dictionary, uint32_t atom, int32_t correlation)
{
    const int16_t *const gram = dictionary->gram + atom * dictionary->n_atoms;
    const uint32_t count = fit->count;
    int32_t *const row = fit->triangle[count > 0 ? count - 1 : 0];
    int32_t solved[MOST_EARLIER]; /* Q13: the solution of L w = inner products of the atom with the chosen */
    int32_t remaining = ONE;
    for (uint32_t s = 0; s < count; s++) {
        int32_t part = gram[fit->atoms[s]] * (1 << 13);
        for (uint32_t t = 0; t < s; t++) { part -= fit->triangle[s - 1][t] * solved[t]; }
        solved[s] = mh_clip((part + (1 << 12)) >> 13, -(1 << 13), 1 << 13);
        row[s] = mh_clip(mh_quotient(part, fit->energies[s]), -(1 << 15), 1 << 15);
        remaining -= row[s] * solved[s];
    }
    if (remaining < DEPENDENT) { return 0; }
    fit->atoms[count] = atom;
    fit->rows[count] = gram;
    fit->energies[count] = (remaining + (1 << 12)) >> 13;
    fit->shares[count] = mh_quotient(correlation, fit->energies[count]);
    fit->count = count + 1;
    return 1;
}

/* Fits all chosen atoms to the window. */
static void refit(mh_fit_t *fit)
{
    for (uint32_t s = fit->count; s-- > 0;) {
        int32_t value = fit->shares[s];
        for (uint32_t t = s + 1; t < fit->count; t++) {
            value -= (fit->triangle[t - 1][s] * fit->coefficients[t] + (1 << 12)) >> 13;
        }
        fit->coefficients[s] = mh_clip(value, -INT16_MAX, INT16_MAX);
    }
}

uint32_t mh_codes_push(mh_codes_state_t *state, const mh_codes_table_t *table, const mh_signal_t *signal,
                       uint32_t first, uint32_t end, uint32_t position, uint32_t scale_q8, const int32_t *context)
{
    const uint32_t level = mh_windows_level(scale_q8, table->knee);
    uint32_t count = 0, first_column = 0;
    for (uint32_t w = 0; w < (uint32_t)table->n_windows + table->n_context; w++) {
        const mh_dictionary_t *dictionary = &table->dictionaries[w];
        mh_fit_t fit;
        if (w < table->n_windows) {
            mh_windows_cut(&table->windows[w], signal, first, end, position, state->work);
            mh_windows_compress(state->work, dictionary->n_points, level, state->window);
        } else {
            mh_windows_compress(context, dictionary->n_points, level, state->window);
            context += dictionary->n_points;
        }
        uint32_t atom = correlate(dictionary, state->window, state->work);
        int32_t left = state->work[atom];
        fit.count = 0;
        while (mh_abs(left) > NEGLIGIBLE && extend(&fit, dictionary, atom, left)) {
            refit(&fit);
            if (fit.count == table->n_nonzero) { break; }
            atom = largest(&fit, dictionary, state->work, &left);
        }
        for (uint32_t s = 0; s < fit.count; s++) {
            const int32_t value = fit.coefficients[s];
            const uint32_t sign = value < 0 ? dictionary->n_atoms : 0u;
            state->codes[count].column = (uint16_t)(first_column + sign + fit.atoms[s]);
            state->codes[count++].value = (int16_t)mh_abs(value);
        }
        first_column += 2u * dictionary->n_atoms;
    }
    return count;
}
