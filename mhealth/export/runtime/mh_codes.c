#include "mh_codes.h"

#include "mh_fixed.h"
#include "mh_quotient.h"

#define ONE ((int32_t)1 << 26)        /* 1 in Q26 */
#define NEGLIGIBLE ((int32_t)1 << 13) /* Q6.25: less than the resolution of the codes */
#define DEPENDENT ((int32_t)1 << 19)  /* Q26: an atom with less of its energy outside the chosen ones adds nothing */

void mh_sums(const int8_t *weights, uint32_t n_columns, const uint16_t *rows, const int16_t *values, uint32_t count,
             int32_t sums[4])
{
    int32_t first = 0, second = 0, third = 0, fourth = 0;
    for (uint32_t i = 0; i < count; i++) {
        const int8_t *row = weights + (rows == NULL ? i : rows[i]) * n_columns;
        const int32_t value = values[i];
        first += value * row[0];
        second += value * row[1];
        third += value * row[2];
        fourth += value * row[3];
    }
    sums[0] = first;
    sums[1] = second;
    sums[2] = third;
    sums[3] = fourth;
}

/* Inner products of a window with all atoms, Q6.25. */
static void correlate(const mh_dictionary_t *dictionary, const int16_t *window, int32_t *correlation)
{
    const uint32_t n_atoms = dictionary->n_atoms;
    int32_t sums[4];
    for (uint32_t k = 0; k < n_atoms; k += 4) {
        const uint32_t first = k + 4 <= n_atoms ? k : n_atoms - 4;
        mh_sums(dictionary->atoms + first, n_atoms, NULL, window, dictionary->n_points, sums);
        for (uint32_t j = 0; j < 4; j++) {
            const int64_t product = (int64_t)sums[j] * dictionary->multipliers[first + j];
            correlation[first + j] = (int32_t)((product + (1 << 10)) >> 11);
        }
    }
}

/* The chosen atoms of a window, and what is needed to fit them again with one more. */
typedef struct {
    uint32_t count;
    uint32_t support[MH_CODES_MOST_NONZERO];
    int32_t coefficient[MH_CODES_MOST_NONZERO]; /* Q12, within 16 bits */
    int32_t projection[MH_CODES_MOST_NONZERO];  /* Q6.25: D times the solution of L y = correlations */
    int32_t energy[MH_CODES_MOST_NONZERO];      /* Q13: D of the Gram matrix L D L' of the chosen atoms */
    int32_t triangle[MH_CODES_MOST_NONZERO * (MH_CODES_MOST_NONZERO - 1) / 2]; /* Q13: L below its diagonal of ones */
} mh_fit_t;

static int32_t *row_of(mh_fit_t *fit, uint32_t s) { return fit->triangle + s * (s - 1u) / 2u; }

static int is_chosen(const mh_fit_t *fit, uint32_t atom)
{
    for (uint32_t s = 0; s < fit->count; s++) {
        if (fit->support[s] == atom) { return 1; }
    }
    return 0;
}

/* The atom that correlates most with what is left of the window, of equals the first; its correlation. */
static uint32_t largest(const mh_fit_t *fit, const mh_dictionary_t *dictionary, const int32_t *correlation,
                        int32_t *found)
{
    uint32_t best = 0;
    int32_t size = 0;
    *found = 0;
    for (uint32_t k = 0; k < dictionary->n_atoms; k++) {
        int32_t value = correlation[k];
        for (uint32_t s = 0; s < fit->count; s++) {
            value -= dictionary->gram[fit->support[s] * dictionary->n_atoms + k] * fit->coefficient[s];
        }
        if (mh_abs(value) > size && !is_chosen(fit, k)) {
            best = k;
            size = mh_abs(value);
            *found = value;
        }
    }
    return best;
}

/* Adds an atom to the factors; returns whether it can be told from the chosen ones. */
static int extend(mh_fit_t *fit, const mh_dictionary_t *dictionary, uint32_t atom, int32_t correlation)
{
    const int16_t *gram = dictionary->gram + atom * dictionary->n_atoms;
    const uint32_t count = fit->count;
    int32_t *row = row_of(fit, count);
    int32_t solved[MH_CODES_MOST_NONZERO]; /* Q26: the solution of L w = inner products of the atom with the chosen */
    int64_t remaining = ONE;
    for (uint32_t s = 0; s < count; s++) {
        const int32_t *earlier = row_of(fit, s);
        int64_t part = (int64_t)gram[fit->support[s]] * (1 << 13);
        for (uint32_t t = 0; t < s; t++) { part -= ((int64_t)earlier[t] * solved[t]) >> 13; }
        solved[s] = part > ONE ? ONE : part < -ONE ? -ONE : (int32_t)part; /* rounding may lead beyond */
        row[s] = mh_quotient(solved[s], fit->energy[s]);
        remaining -= ((int64_t)row[s] * solved[s]) >> 13;
    }
    if (remaining < DEPENDENT) { return 0; }
    fit->support[count] = atom;
    fit->projection[count] = correlation;
    fit->energy[count] = (int32_t)((remaining + (1 << 12)) >> 13);
    fit->count = count + 1;
    return 1;
}

/* Fits all chosen atoms to the window. */
static void refit(mh_fit_t *fit)
{
    for (uint32_t s = fit->count; s-- > 0;) {
        int64_t value = mh_quotient(fit->projection[s], fit->energy[s]);
        for (uint32_t t = s + 1; t < fit->count; t++) {
            value -= ((int64_t)row_of(fit, t)[s] * fit->coefficient[t] + (1 << 12)) >> 13;
        }
        fit->coefficient[s] = value > INT16_MAX ? INT16_MAX : value < -INT16_MAX ? -INT16_MAX : (int32_t)value;
    }
}

uint32_t mh_codes_push(mh_codes_state_t *state, const mh_codes_table_t *table, const mh_signal_t *signal,
                       uint32_t first, uint32_t end, uint32_t position, uint32_t scale_q8, const int16_t *context)
{
    const uint32_t level = mh_windows_level(scale_q8, table->knee);
    uint32_t count = 0, first_column = 0;
    for (uint32_t w = 0; w < (uint32_t)table->n_windows + table->n_context; w++) {
        const mh_dictionary_t *dictionary = &table->dictionaries[w];
        mh_fit_t fit;
        if (w < table->n_windows) {
            mh_windows_cut(&table->windows[w], signal, first, end, position, state->work);
        } else {
            for (uint32_t b = 0; b < dictionary->n_points; b++) {
                state->work[b] = (int32_t)*context++ * (256 >> table->context_fraction);
            }
        }
        mh_windows_compress(state->work, dictionary->n_points, level, state->window);
        correlate(dictionary, state->window, state->work);
        fit.count = 0;
        while (fit.count < table->n_nonzero) {
            int32_t correlation;
            const uint32_t atom = largest(&fit, dictionary, state->work, &correlation);
            if (mh_abs(correlation) <= NEGLIGIBLE || !extend(&fit, dictionary, atom, correlation)) { break; }
            refit(&fit);
        }
        for (uint32_t s = 0; s < fit.count; s++) {
            const int32_t value = fit.coefficient[s];
            const uint32_t sign = value < 0 ? dictionary->n_atoms : 0u;
            state->columns[count] = (uint16_t)(first_column + sign + fit.support[s]);
            state->values[count++] = (int16_t)mh_abs(value);
        }
        first_column += 2u * dictionary->n_atoms;
    }
    return count;
}
