/* Reads samples (0, sample) and candidates (1, position, scale, first, context windows, dense numbers), and writes for
   each candidate the columns and values of its codes (-1 and 0 beyond the last), its potentials and its shifts. */
#include <stdio.h>

#include "mh_codes.h"
#include "mh_emission.h"
#include "table.h" /* generated: the tables codes and emission, and sizes */

#define RING 1024u

static int16_t ring[RING];
static int32_t work[MH_CODES_WORK_SIZE(LONGEST, MOST_ATOMS)];
static int16_t window[LONGEST];
static mh_code_t found[MH_CODES_SIZE(N_DICTIONARIES, N_NONZERO) + 1], first_codes[N_FIRST], second_codes[N_SECOND];
static int32_t context[N_CONTEXT + 1];
static int16_t dense[N_DENSE + 1], potentials[4 * N_STATES];
static int8_t shifts[2 * N_STATES];

static int32_t next(void)
{
    int32_t value = 0;
    return fread(&value, sizeof value, 1, stdin) == 1 ? value : -1;
}

static void put(int32_t value) { (void)fwrite(&value, sizeof value, 1, stdout); }

int main(void)
{
    const mh_signal_t signal = {ring, RING - 1u};
    mh_codes_state_t codes_state = {work, window, found};
    mh_emission_state_t emission_state = {first_codes, second_codes};
    const uint32_t n_context = N_CONTEXT, n_codes = N_DICTIONARIES * N_NONZERO; /* may be zero */
    uint32_t n_samples = 0, count;
    int32_t op;
    while ((op = next()) >= 0) {
        if (op == 0) {
            ring[n_samples++ & signal.mask] = (int16_t)next();
            continue;
        }
        const uint32_t position = (uint32_t)next(), scale = (uint32_t)next(), first = (uint32_t)next();
        for (uint32_t i = 0; i < n_context; i++) { context[i] = next(); }
        for (uint32_t i = 0; i < N_DENSE; i++) { dense[i] = (int16_t)next(); }
        count = mh_codes_push(&codes_state, &codes, &signal, first, n_samples, position, scale, context);
        for (uint32_t i = 0; i < n_codes; i++) { put(i < count ? found[i].column : -1); }
        for (uint32_t i = 0; i < n_codes; i++) { put(i < count ? found[i].value : 0); }
        mh_emission_push(&emission_state, &emission, dense, found, count, potentials, shifts);
        for (uint32_t i = 0; i < 4 * N_STATES; i++) { put(potentials[i]); }
        for (uint32_t i = 0; i < 2 * N_STATES; i++) { put(shifts[i]); }
    }
    return 0;
}
