#include "mh_emission.h"

#include "mh_fixed.h"

/* Layers are computed four columns at a time. Where their number is no multiple of four, the last four columns overlap
   those before, and count from where new ones start. */
static uint32_t block_of(uint32_t column, const mh_layer_t *layer)
{
    return column + 4 <= layer->n_columns ? column : layer->n_columns - 4u;
}

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
    const mh_layer_t *of_dense = &table->of_dense, *of_codes = &table->of_codes;
    const mh_layer_t *second = &table->second, *last = &table->last;
    const uint32_t n_potentials = 4u * table->n_states;
    uint32_t n_first = 0, n_second = 0;
    int32_t sums[4], more[4] = {0, 0, 0, 0};
    for (uint32_t j = 0; j < of_dense->n_columns; j += 4) {
        const uint32_t block = block_of(j, of_dense);
        mh_sums(of_dense->weights + block, of_dense->n_columns, dense, of_dense->n_rows, sums);
        if (n_codes > 0) { mh_sums_of_codes(of_codes->weights + block, of_codes->n_columns, codes, n_codes, more); }
        for (uint32_t k = j; k < block + 4; k++) {
            const int32_t value = rounded_high((int64_t)sums[k - block] * of_dense->multipliers[k] +
                                               (int64_t)more[k - block] * of_codes->multipliers[k]);
            n_first = append(state->first, n_first, k, value + table->threshold[k]);
        }
    }
    for (uint32_t j = 0; j < second->n_columns; j += 4) {
        const uint32_t block = block_of(j, second);
        mh_sums_of_codes(second->weights + block, second->n_columns, state->first, n_first, sums);
        for (uint32_t k = j; k < block + 4; k++) {
            const int32_t value = rounded_high((int64_t)sums[k - block] * second->multipliers[k]);
            n_second = append(state->second, n_second, k, value + table->second_threshold[k]);
        }
    }
    for (uint32_t j = 0; j < last->n_columns; j += 4) {
        const uint32_t block = block_of(j, last);
        mh_sums_of_codes(last->weights + block, last->n_columns, state->second, n_second, sums);
        for (uint32_t k = j; k < block + 4; k++) {
            const int32_t value = rounded_high((int64_t)sums[k - block] * last->multipliers[k]) + table->bias[k];
            if (k < n_potentials) {
                potentials[k] = mh_to_int16(value);
            } else {
                shifts[k - n_potentials] = (int8_t)mh_clip((value + 128) >> 8, -table->farthest, table->farthest);
            }
        }
    }
}
