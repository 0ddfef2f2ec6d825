#include "mh_emission.h"

#include "mh_fixed.h"

static int32_t rounded_high(int64_t product) { return (int32_t)((product + ((int64_t)1 << 31)) >> 32); }

/* Appends a hidden code if it is positive; returns the number of codes. */
static uint32_t append(mh_code_t *codes, uint32_t count, uint32_t column, int32_t value)
{
    if (value > 0) {
        codes[count].column = (uint16_t)column;
        codes[count++].value = (int16_t)mh_min(value, INT16_MAX);
    }
    return count;
}

void mh_emission_push(mh_emission_state_t *state, const mh_emission_table_t *table, const int16_t *dense,
                      const mh_code_t *codes, uint32_t n_codes, int16_t *potentials, int8_t *shifts)
{
    const uint32_t n_potentials = 4u * table->n_states;
    const mh_layer_t *layer = &table->of_dense, *const of_codes = &table->of_codes;
    uint32_t n_first = 0, n_second = 0;
    int32_t sums[4], more[4];
    more[0] = more[1] = more[2] = more[3] = 0;
    for (uint32_t j = 0; j < layer->n_columns; j++) {
        const uint32_t k = j % 4;
        if (k == 0) {
            mh_sums(layer->weights + j / 4 * layer->n_rows, dense, layer->n_rows, sums);
            if (n_codes > 0) { mh_sums_of_codes(of_codes->weights + j / 4 * of_codes->n_rows, codes, n_codes, more); }
        }
        const int64_t product = (int64_t)sums[k] * layer->multipliers[j] + (int64_t)more[k] * of_codes->multipliers[j];
        n_first = append(state->first, n_first, j, rounded_high(product) + table->threshold[j]);
    }
    layer = &table->second;
    for (uint32_t j = 0; j < layer->n_columns; j++) {
        const uint32_t k = j % 4;
        if (k == 0) { mh_sums_of_codes(layer->weights + j / 4 * layer->n_rows, state->first, n_first, sums); }
        const int64_t product = (int64_t)sums[k] * layer->multipliers[j];
        n_second = append(state->second, n_second, j, rounded_high(product) + table->second_threshold[j]);
    }
    layer = &table->last;
    for (uint32_t j = 0; j < layer->n_columns; j++) {
        const uint32_t k = j % 4;
        if (k == 0) { mh_sums_of_codes(layer->weights + j / 4 * layer->n_rows, state->second, n_second, sums); }
        const int32_t value = rounded_high((int64_t)sums[k] * layer->multipliers[j]) + table->bias[j];
        if (j < n_potentials) {
            potentials[j] = mh_to_int16(value);
        } else {
            shifts[j - n_potentials] = (int8_t)mh_clip((value + 128) >> 8, -table->farthest, table->farthest);
        }
    }
}
