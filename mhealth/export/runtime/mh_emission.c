#include "mh_fast.h"

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
    const uint32_t *weights = layer->weights, *weights_of_codes = of_codes->weights;
    uint32_t n_first = 0, n_second = 0, j = 0;
    int32_t sums[4], more[4];
    more[0] = more[1] = more[2] = more[3] = 0;
    while (j < layer->n_columns) {
        mh_sums(weights, dense, layer->n_rows, 4, sums);
        weights += layer->n_rows;
        if (MH_WITH_CODES && n_codes > 0) { mh_sums_of_codes(weights_of_codes, codes, n_codes, more); }
        weights_of_codes += of_codes->n_rows;
        for (uint32_t k = 0; k < 4 && j < layer->n_columns; k++, j++) {
            int64_t product = (int64_t)sums[k] * layer->multipliers[j];
            if (MH_WITH_CODES && n_codes > 0) { product += (int64_t)more[k] * of_codes->multipliers[j]; }
            n_first = append(state->first, n_first, j, rounded_high(product) + table->threshold[j]);
        }
    }
    layer = &table->second;
    weights = layer->weights;
    for (j = 0; j < layer->n_columns;) {
        mh_sums_of_codes(weights, state->first, n_first, sums);
        weights += layer->n_rows;
        for (uint32_t k = 0; k < 4 && j < layer->n_columns; k++, j++) {
            const int64_t product = (int64_t)sums[k] * layer->multipliers[j];
            n_second = append(state->second, n_second, j, rounded_high(product) + table->second_threshold[j]);
        }
    }
    layer = &table->last;
    weights = layer->weights;
    for (j = 0; j < layer->n_columns;) {
        mh_sums_of_codes(weights, state->second, n_second, sums);
        weights += layer->n_rows;
        for (uint32_t k = 0; k < 4 && j < layer->n_columns; k++, j++) {
            const int32_t value = rounded_high((int64_t)sums[k] * layer->multipliers[j]) + table->bias[j];
            if (j < n_potentials) {
                potentials[j] = mh_to_int16(value);
            } else {
                shifts[j - n_potentials] = (int8_t)mh_clip((value + 128) >> 8, -table->farthest, table->farthest);
            }
        }
    }
}
