#include "mh_fast.h"

#include "mh_scale.h"

#include "mh_fixed.h"

/* Sort a range in among those of n blocks, whose entry `place` is free. */
static void mh_scale_sort(mh_scale_block_t *blocks, uint32_t place, uint32_t n, uint16_t range)
{
    for (; place + 1u < n && blocks[place + 1u].sorted < range; ++place) {
        blocks[place].sorted = blocks[place + 1u].sorted;
    }
    for (; place > 0 && blocks[place - 1u].sorted > range; --place) {
        blocks[place].sorted = blocks[place - 1u].sorted;
    }
    blocks[place].sorted = range;
}

static void mh_scale_end_block(mh_scale_state_t *state, const mh_scale_table_t *table)
{
    mh_scale_block_t *const blocks = state->blocks;
    const uint16_t range = (uint16_t)mh_min(state->high - state->low, UINT16_MAX);
    uint32_t place = state->n_blocks;
    if (state->n_blocks == table->n_blocks) {
        place = 0;
        while (blocks[place].sorted != blocks[state->slot].range) { ++place; }
    } else {
        ++state->n_blocks;
    }
    const uint32_t n = state->n_blocks;
    mh_scale_sort(blocks, place, n, range);
    /* Thirds to the nearest unit; the offset makes the dividend positive. */
    blocks[state->slot].low = (int16_t)((state->low + 3 * 32768 + 1) / 3 - 32768);
    blocks[state->slot].range = range;
    state->slot = (uint16_t)(state->slot + 1u == table->n_blocks ? 0u : state->slot + 1u);
    state->n_in_block = 0;

    int32_t lowest = INT32_MAX, highest = INT32_MIN;
    MH_UNROLL
    for (uint32_t k = 0; k < n; ++k) {
        const int32_t low = 3 * blocks[k].low;
        lowest = mh_min(lowest, low);
        highest = mh_max(highest, low + blocks[k].range);
    }
    /* 2^16 and 2^8 thirds; a range of 2^16 units or more, by rounding of its low, counts as just below. */
    const uint32_t extent = (uint32_t)mh_min(highest - lowest, 3 * 65535);
    state->extent = extent * 21845u + extent / 3u;
    const uint32_t rank = (table->quantile * n) >> 16;
    const uint32_t floor = blocks[rank < n ? rank : n - 1u].sorted;
    state->floor_q8 = floor * 85u + floor / 3u;
}

/* Take one more smoothed sample: the average of the last two samples and the one after them. */
static void mh_scale_smooth(mh_scale_state_t *state, const mh_scale_table_t *table, int16_t after)
{
    const int32_t value = (int32_t)state->before + state->latest + after;
    if (state->n_in_block == 0) { state->low = state->high = value; }
    state->low = mh_min(state->low, value);
    state->high = mh_max(state->high, value);
    if (++state->n_in_block == table->block) { mh_scale_end_block(state, table); }
}

void mh_scale_init(mh_scale_state_t *state, const mh_scale_table_t *table, mh_scale_block_t *blocks)
{
    (void)table;
    state->blocks = blocks;
    state->n_seen = state->n_decided = state->n_waiting = state->n_given = state->n_in_block = 0;
    state->n_blocks = state->slot = state->ended = 0;
}

void mh_scale_push(mh_scale_state_t *state, const mh_scale_table_t *table, int16_t sample)
{
    if (state->n_seen == 0) {
        state->before = sample;
    } else {
        mh_scale_smooth(state, table, sample);
        state->before = state->latest;
    }
    state->latest = sample;
    if (state->n_seen <= table->window) { ++state->n_seen; }
    ++state->n_waiting;
    state->n_given = 0;
}

void mh_scale_end(mh_scale_state_t *state, const mh_scale_table_t *table)
{
    if (state->n_seen > 0 && !state->ended) {
        mh_scale_smooth(state, table, state->latest);
        if (state->n_in_block > 0) { mh_scale_end_block(state, table); }
    }
    state->ended = 1;
}

int mh_scale_next(mh_scale_state_t *state, const mh_scale_table_t *table, mh_scale_value_t *value)
{
    if (state->ended) {
        if (state->n_waiting == 0) { return 0; }
    } else if (state->n_seen <= table->window || state->n_waiting <= table->ahead || state->n_given == table->burst) {
        return 0;
    }
    if (state->n_decided == 0) { state->average = state->extent; }
    if (state->n_decided + table->ahead <= table->window) { /* until then nothing is new */
        ++state->n_decided;
    } else if (state->extent >= state->average) {
        const uint64_t step = (uint64_t)(state->extent - state->average) * table->weight;
        state->average += (uint32_t)((step + (1u << 29)) >> 30);
    } else {
        const uint64_t step = (uint64_t)(state->average - state->extent) * table->weight;
        state->average -= (uint32_t)((step + (1u << 29)) >> 30);
    }
    --state->n_waiting;
    ++state->n_given;
    value->scale_q8 = state->average < 256u ? 1u : state->average >> 8;
    value->floor_q8 = state->floor_q8;
    return 1;
}
