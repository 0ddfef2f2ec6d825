/* How large the waves of a lead are at present, and how large its noise, once for all stages that ask.

   The lead is smoothed over 3 samples and cut into blocks. The scale is an exponential average of the range of the
   latest blocks, the floor a quantile of their own ranges. Inside, smoothed samples and ranges are in thirds of an ADC
   unit; the range of one block counts up to 21,845 units. The first `window` samples of a stretch give the first value;
   then at most `burst` values a sample come out until the delay is down to `ahead` samples. One more each sample:

       mh_scale_push(&scale, &table, sample);
       while (mh_scale_next(&scale, &table, &value)) { ... value of the next sample, in order ... }
*/
#ifndef MH_SCALE_H
#define MH_SCALE_H

#include <stdint.h>

typedef struct {
    uint32_t weight;   /* of a new range in the average, Q2.30 */
    uint32_t quantile; /* share of the blocks below the floor, Q16.16 */
    uint16_t window;   /* samples = n_blocks blocks */
    uint16_t ahead;    /* samples that a value waits for after its own, at least 1 */
    uint16_t block;    /* samples */
    uint16_t n_blocks;
    uint16_t burst; /* at least 2 */
} mh_scale_table_t;

typedef struct {
    int16_t low;     /* of the block in this slot, rounded to ADC units */
    uint16_t range;  /* of the block in this slot, in thirds */
    uint16_t sorted; /* not of this block: the ranges of all blocks in order of size */
} mh_scale_block_t;

typedef struct {
    uint32_t scale_q8; /* ADC units, Q24.8, at least 1 */
    uint32_t floor_q8; /* ADC units, Q24.8 */
} mh_scale_value_t;

typedef struct {
    mh_scale_block_t *blocks;
    uint32_t extent;   /* range of all blocks, ADC units, Q16.16 */
    uint32_t average;  /* of the extent, Q16.16 */
    uint32_t floor_q8; /* as in values */
    int32_t low;       /* of the running block, in thirds */
    int32_t high;
    int16_t before; /* the last sample but one, and the last */
    int16_t latest;
    uint16_t n_seen;    /* samples, as far as window + 1 */
    uint16_t n_decided; /* values, as far as window - ahead + 1 */
    uint16_t n_waiting; /* samples without a value */
    uint16_t n_given;   /* values since the last sample */
    uint16_t n_in_block;
    uint16_t n_blocks; /* blocks that are filled */
    uint16_t slot;     /* of the next block */
    uint16_t ended;
} mh_scale_state_t;

/* Start a stretch; `blocks` holds table->n_blocks entries and belongs to the state until the stretch is over. */
void mh_scale_init(mh_scale_state_t *state, const mh_scale_table_t *table, mh_scale_block_t *blocks);

/* Take the next sample. All values that it decides must be fetched before the next one. */
void mh_scale_push(mh_scale_state_t *state, const mh_scale_table_t *table, int16_t sample);

/* End the stretch: every sample gets its value, without hurry. */
void mh_scale_end(mh_scale_state_t *state, const mh_scale_table_t *table);

/* Fetch the value of the next sample; returns 0 if it is not decided yet. */
int mh_scale_next(mh_scale_state_t *state, const mh_scale_table_t *table, mh_scale_value_t *value);

#endif
