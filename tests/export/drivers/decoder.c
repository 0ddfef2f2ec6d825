/* Reads calls of the decoder and writes the events that are popped, as whole numbers of 32 bits.

   With TABLE, a header, its table and memory are used; else the table comes first, and each buffer is a block of its
   own, so that the sanitizer sees what is beyond it. Then the samples of the ring, a power of two, up to 1024 with
   TABLE. Calls: 0 position: open; 1 position potentials shifts: push; 2 position: close; 3 sample: the newest of the
   lead; 4 n: pop up to n events, each written as 1 label flags onset peak offset, then 0.
   Reported: calls 1, instructions of all of them and of the worst one; those of the worst pop; stack. */
#include "harness.h"
#include "mh_decoder.h"

static int32_t input[256];
static uint32_t n_read, n_taken;
static int ended;

static int32_t next(void)
{
    if (n_taken == n_read) {
        n_read = harness_read(input, 256);
        n_taken = 0;
    }
    ended = n_read == 0;
    return ended ? 0 : input[n_taken++];
}

static void say(uint32_t number)
{
    const int32_t written = (int32_t)number;
    harness_write(&written, 1);
}

#ifdef TABLE
#include TABLE

static int16_t samples[1024];
#else
#include <stdlib.h>
#include <string.h>

static mh_decoder_table_t table;
static int16_t *samples;
static void *blocks[16];
static size_t n_blocks;

static void *some(size_t size)
{
    void *memory = malloc(size == 0 ? 1 : size);
    if (memory == NULL) { exit(1); }
    memset(memory, 0xa5, size);
    blocks[n_blocks++] = memory;
    return memory;
}

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
    table.every = (uint8_t)next();
    table.exact = (uint8_t)next();
    table.top_state = (uint8_t)next();
    table.top_from = (uint8_t)next();
    table.top_reach = (uint8_t)next();
    table.top_box = (uint8_t)next();
    table.top_part = (uint8_t)next();
    duration = some(sizeof *duration * table.n_states * table.n_bins);
    for (i = 0; i < (uint32_t)table.n_states * table.n_bins; ++i) { duration[i] = (int16_t)next(); }
    table.duration = duration;
}

static mh_decoder_buffers_t read_memory(void)
{
    const size_t n = table.n_states, reach = table.reach, rows = table.rows;
    mh_decoder_buffers_t at;
    at.fresh = some(sizeof *at.fresh * reach * n);
    at.chained = some(sizeof *at.chained * reach * table.n_chains);
    at.positions = some(sizeof *at.positions * rows);
    at.middles = some(sizeof *at.middles * reach * n);
    at.lengths = some(sizeof *at.lengths * reach);
    at.centres = some(reach);
    at.arcs = some(rows * (2 * n + table.n_chains));
    at.alive = some(rows);
    at.totals = some(table.exact ? sizeof *at.totals * reach * n : 0);
    at.onsets = some(table.exact ? sizeof *at.onsets * reach * n : 0);
    at.offsets = some(table.exact ? sizeof *at.offsets * reach * n : 0);
    at.kept = some(table.exact ? rows : 0);
    at.shifts = some(rows * 2 * table.n_shown);
    return at;
}
#endif

static mh_decoder_state_t state;
static mh_signal_t signal;
static int16_t potentials[4 * MH_DECODER_MOST_STATES];
static int8_t shifts[2 * MH_DECODER_MOST_STATES];

static uint32_t push(uint32_t position)
{
    uint32_t i, start;
    for (i = 0; i < 4u * table.n_states; ++i) { potentials[i] = (int16_t)next(); }
    for (i = 0; i < 2u * table.n_states; ++i) { shifts[i] = (int8_t)next(); }
    start = harness_instructions();
    mh_decoder_push(&state, &table, position, potentials, shifts);
    return harness_instructions() - start;
}

static uint32_t pop(uint32_t most, uint32_t newest)
{
    mh_event_t event;
    uint32_t i, worst = 0;
    for (i = 0; i < most; ++i) {
        const uint32_t start = harness_instructions();
        const int found = mh_decoder_pop(&state, &table, &signal, newest, &event);
        const uint32_t taken = harness_instructions() - start;
        if (taken > worst) { worst = taken; }
        if (!found) { break; }
        say(1);
        say(event.label);
        say(event.flags);
        say(event.onset);
        say(event.peak);
        say(event.offset);
    }
    say(0);
    return worst;
}

int main(void)
{
    uint32_t newest = UINT32_MAX, n_pushed = 0, all = 0, worst = 0, worst_pop = 0;
#ifdef TABLE
    const mh_decoder_buffers_t at = MH_DECODER_BUFFERS(&memory);
    signal.mask = (uint32_t)next() - 1u;
#else
    mh_decoder_buffers_t at;
    read_table();
    at = read_memory();
    signal.mask = (uint32_t)next() - 1u;
    samples = some(sizeof *samples * (signal.mask + 1u));
    memset(&state, 0xa5, sizeof state);
#endif
    signal.samples = samples;
    mh_decoder_init(&state, at);
    harness_paint_stack();
    for (;;) {
        const int32_t call = next(), given = next();
        if (ended) { break; }
        if (call == 0) {
            mh_decoder_open(&state, &table, (uint32_t)given);
        } else if (call == 1) {
            const uint32_t taken = push((uint32_t)given);
            ++n_pushed;
            all += taken;
            worst = taken > worst ? taken : worst;
        } else if (call == 2) {
            mh_decoder_close(&state, &table, (uint32_t)given);
        } else if (call == 3) {
            ++newest;
            samples[newest & signal.mask] = (int16_t)given;
        } else {
            const uint32_t taken = pop((uint32_t)given, newest);
            worst_pop = taken > worst_pop ? taken : worst_pop;
        }
    }
    harness_report((int32_t)n_pushed);
    harness_report((int32_t)all);
    harness_report((int32_t)worst);
    harness_report((int32_t)worst_pop);
    harness_report((int32_t)harness_stack_used());
#ifndef TABLE
    while (n_blocks > 0) { free(blocks[--n_blocks]); }
#endif
    return 0;
}
