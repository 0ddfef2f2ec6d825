#include "mh_emission.h"

#include "mh_fixed.h"

static int16_t rectified(int64_t product, int16_t threshold)
{
    const int32_t value = (int32_t)((product + ((int64_t)1 << 31)) >> 32) + threshold;
    return (int16_t)mh_clip(value, 0, INT16_MAX);
}

/* Columns are taken four at a time; the last four may be taken twice in part. */
static uint32_t block_of(uint32_t column, const mh_layer_t *layer)
{
    return column + 4 <= layer->n_columns ? column : layer->n_columns - 4u;
}

/* Moves the positive values to the front and notes their rows; returns their number. */
static uint32_t positive(int16_t *values, uint32_t n, uint16_t *rows)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (values[i] > 0) {
            rows[count] = (uint16_t)i;
            values[count++] = values[i];
        }
    }
    return count;
}

void mh_emission_push(mh_emission_state_t *state, const mh_emission_table_t *table, const int16_t *dense,
                      const uint16_t *columns, const int16_t *values, uint32_t count, int16_t *potentials,
                      int8_t *shifts)
{
    const mh_layer_t *of_dense = &table->of_dense, *of_codes = &table->of_codes;
    const mh_layer_t *second = &table->second, *last = &table->last;
    const uint32_t n_potentials = 4u * table->n_states;
    int32_t sums[4];
    int64_t products[4];
    for (uint32_t j = 0; j < of_dense->n_columns; j += 4) {
        const uint32_t first = block_of(j, of_dense);
        mh_sums(of_dense->weights + first, of_dense->n_columns, NULL, dense, of_dense->n_rows, sums);
        for (uint32_t k = 0; k < 4; k++) { products[k] = (int64_t)sums[k] * of_dense->multipliers[first + k]; }
        if (of_codes->n_rows > 0) {
            mh_sums(of_codes->weights + first, of_codes->n_columns, columns, values, count, sums);
            for (uint32_t k = 0; k < 4; k++) { products[k] += (int64_t)sums[k] * of_codes->multipliers[first + k]; }
        }
        for (uint32_t k = 0; k < 4; k++) {
            state->first[first + k] = rectified(products[k], table->threshold[first + k]);
        }
    }
    count = positive(state->first, of_dense->n_columns, state->rows);
    for (uint32_t j = 0; j < second->n_columns; j += 4) {
        const uint32_t first = block_of(j, second);
        mh_sums(second->weights + first, second->n_columns, state->rows, state->first, count, sums);
        for (uint32_t k = 0; k < 4; k++) {
            state->second[first + k] =
                rectified((int64_t)sums[k] * second->multipliers[first + k], table->second_threshold[first + k]);
        }
    }
    count = positive(state->second, second->n_columns, state->rows);
    for (uint32_t j = 0; j < last->n_columns; j += 4) {
        const uint32_t first = block_of(j, last);
        mh_sums(last->weights + first, last->n_columns, state->rows, state->second, count, sums);
        for (uint32_t k = first; k < first + 4; k++) {
            const int64_t product = (int64_t)sums[k - first] * last->multipliers[k] + ((int64_t)1 << 31);
            const int32_t value = (int32_t)(product >> 32) + table->bias[k];
            if (k < n_potentials) {
                potentials[k] = mh_to_int16(value);
            } else {
                shifts[k - n_potentials] =
                    (int8_t)mh_clip(mh_rounded_shift(value, 8), -table->farthest, table->farthest);
            }
        }
    }
}
