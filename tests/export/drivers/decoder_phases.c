/* Reads the table, then events as label flags onset peak offset, and writes those that are popped. */
#include <stdio.h>

#include "mh_decoder_phases.h"

static void write_events(mh_phases_state_t *state)
{
    mh_event_t event;
    while (mh_phases_pop(state, &event)) {
        const uint32_t words[5] = {event.label, event.flags, event.onset, event.peak, event.offset};
        (void)fwrite(words, sizeof words, 1, stdout);
    }
}

int main(void)
{
    mh_phases_state_t state;
    mh_phases_table_t table;
    uint32_t in[5];
    if (fread(in, sizeof in, 1, stdin) != 1) { return 1; }
    table.farthest = (uint16_t)in[0];
    table.shortest_pause = (uint16_t)in[1];
    table.inspiration = (uint8_t)in[2];
    table.expiration = (uint8_t)in[3];
    table.pause = (uint8_t)in[4];
    mh_phases_init(&state);
    while (fread(in, sizeof in, 1, stdin) == 1) {
        mh_event_t event;
        event.label = (uint8_t)in[0];
        event.flags = (uint8_t)in[1];
        event.onset = in[2];
        event.peak = in[3];
        event.offset = in[4];
        mh_phases_push(&state, &table, &event);
        write_events(&state);
    }
    mh_phases_flush(&state, &table);
    write_events(&state);
    return 0;
}
