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

/* The output in one column of a layer above codes; sums are those of its four columns, made where they start. */
static int32_t output_of(const mh_layer_t *layer, uint32_t column, const mh_code_t *codes, uint32_t count,
                         int32_t sums[4])
{
    if (column % 4 == 0) { mh_sums_of_codes(layer->weights + column / 4 * layer->n_rows, codes, count, sums); }
    return rounded_high((int64_t)sums[column % 4] * layer->multipliers[column]);
}

void mh_emission_push(mh_emission_state_t *state, const mh_emission_table_t *table, const int16_t *dense,
                      const mh_code_t *codes, uint32_t n_codes, int16_t *potentials, int8_t *shifts)
{
    const mh_layer_t *of_dense = &table->of_dense, *of_codes = &table->of_codes;
    const uint32_t n_potentials = 4u * table->n_states;
    uint32_t n_first = 0, n_second = 0;
    int32_t sums[4], more[4] = {0, 0, 0, 0};
    for (uint32_t j = 0; j < of_dense->n_columns; j++) {
        if (j % 4 == 0) {
            mh_sums(of_dense->weights + j / 4 * of_dense->n_rows, dense, of_dense->n_rows, sums);
            if (n_codes > 0) { mh_sums_of_codes(of_codes->weights + j / 4 * of_codes->n_rows, codes, n_codes, more); }
        }
        const int32_t value = rounded_high((int64_t)sums[j % 4] * of_dense->multipliers[j] +
                                           (int64_t)more[j % 4] * of_codes->multipliers[j]);
        n_first = append(state->first, n_first, j, value + table->threshold[j]);
    }
    for (uint32_t j = 0; j < table->second.n_columns; j++) {
        const int32_t value = output_of(&table->second, j, state->first, n_first, sums);
        n_second = append(state->second, n_second, j, value + table->second_threshold[j]);
    }
    for (uint32_t j = 0; j < table->last.n_columns; j++) {
        const int32_t value = output_of(&table->last, j, state->second, n_second, sums) + table->bias[j];
        if (j < n_potentials) {
            potentials[j] = mh_to_int16(value);
        } else {
            shifts[j - n_potentials] = (int8_t)mh_clip((value + 128) >> 8, -table->farthest, table->farthest);
        }
    }
}
