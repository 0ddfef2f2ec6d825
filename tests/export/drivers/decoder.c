/* Reads calls of the decoder and writes the events that are popped, as whole numbers of 32 bits.

   Without TABLE, the table comes first. Calls: 0 position: open; 1 position potentials shifts: push; 2 position: close;
   3 sample: the newest of the lead; 4 n: pop up to n events, each written as 1 label flags onset peak offset, then 0. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mh_decoder.h"

#ifdef TABLE
#include TABLE
#endif

static int32_t next(void)
{
    int32_t value = 0;
    if (fread(&value, sizeof value, 1, stdin) != 1) { exit(1); }
    return value;
}

static void say(uint32_t number) { (void)fwrite(&number, sizeof number, 1, stdout); }

static void *blocks[16];
static size_t n_blocks;

/* Each buffer a block of its own, so that the sanitizer sees what is beyond it. */
static void *some(size_t size)
{
    void *memory = malloc(size == 0 ? 1 : size);
    if (memory == NULL) { exit(1); }
    memset(memory, 0xa5, size);
    blocks[n_blocks++] = memory;
    return memory;
}

#ifndef TABLE
static mh_decoder_table_t table;

static void read_table(void)
{
    int16_t *duration;
    uint32_t i, k;
    for (i = 0; i < 8; ++i) {
        for (k = 0; k < 8; ++k) { table.transition[i][k] = (int16_t)next(); }
    }
    for (i = 0; i < 8; ++i) { table.self_transition[i] = (int16_t)next(); }
    for (i = 0; i < 8; ++i) { table.bins_q16[i] = (uint32_t)next(); }
    for (i = 0; i < 8; ++i) { table.longest[i] = (uint16_t)next(); }
    for (i = 0; i < 8; ++i) { table.chain[i] = (uint8_t)next(); }
    for (i = 0; i < 8; ++i) { table.shown[i] = (uint8_t)next(); }
    for (i = 0; i < 8; ++i) { table.label[i] = (uint8_t)next(); }
    for (i = 0; i < 8; ++i) { table.cut[i] = (uint8_t)next(); }
    for (i = 0; i < 8; ++i) { table.peak[i] = (uint8_t)next(); }
    table.lag = (uint32_t)next();
    table.n_states = (uint8_t)next();
    table.n_bins = (uint8_t)next();
    table.n_chains = (uint8_t)next();
    table.n_shown = (uint8_t)next();
    table.reach = (uint8_t)next();
    table.rows = (uint8_t)next();
    table.top_state = (uint8_t)next();
    table.top_from = (uint8_t)next();
    table.top_reach = (uint8_t)next();
    table.top_box = (uint8_t)next();
    table.top_part = (uint8_t)next();
    duration = some(sizeof *duration * table.n_states * table.n_bins);
    for (i = 0; i < (uint32_t)table.n_states * table.n_bins; ++i) { duration[i] = (int16_t)next(); }
    table.duration = duration;
}
#endif

int main(void)
{
    mh_decoder_state_t state;
    mh_decoder_buffers_t memory;
    mh_signal_t signal;
    mh_event_t event;
    int32_t call;
    uint32_t newest = UINT32_MAX, i, n, scores, width;
#ifndef TABLE
    read_table();
#endif
    n = table.n_states;
    scores = table.reach * n;
    width = 2u * n + table.n_chains;
    memory.fresh = some(sizeof *memory.fresh * scores);
    memory.chained = some(sizeof *memory.chained * table.reach * table.n_chains);
    memory.middles = some(sizeof *memory.middles * scores);
    memory.lengths = some(sizeof *memory.lengths * table.reach);
    memory.centres = some(table.reach);
    memory.positions = some(sizeof *memory.positions * table.rows);
    memory.arcs = some(table.rows * width);
    memory.shifts = some(table.rows * 2u * table.n_shown);
    signal.mask = (uint32_t)next() - 1u;
    signal.samples = some(sizeof *signal.samples * (signal.mask + 1u));
    memset(&state, 0xa5, sizeof state);
    mh_decoder_init(&state, memory);
    while (fread(&call, sizeof call, 1, stdin) == 1) {
        const int32_t given = next();
        if (call == 0) {
            mh_decoder_open(&state, &table, (uint32_t)given);
        } else if (call == 1) {
            int16_t potentials[32];
            int8_t shifts[16];
            for (i = 0; i < 4u * n; ++i) { potentials[i] = (int16_t)next(); }
            for (i = 0; i < 2u * n; ++i) { shifts[i] = (int8_t)next(); }
            mh_decoder_push(&state, &table, (uint32_t)given, potentials, shifts);
        } else if (call == 2) {
            mh_decoder_close(&state, &table, (uint32_t)given);
        } else if (call == 3) {
            ++newest;
            signal.samples[newest & signal.mask] = (int16_t)given;
        } else {
            for (i = 0; i < (uint32_t)given; ++i) {
                if (!mh_decoder_pop(&state, &table, &signal, newest, &event)) { break; }
                say(1);
                say(event.label);
                say(event.flags);
                say(event.onset);
                say(event.peak);
                say(event.offset);
            }
            say(0);
        }
    }
    while (n_blocks > 0) { free(blocks[--n_blocks]); }
    return 0;
}
