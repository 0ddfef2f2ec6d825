/* From what the decoder says of breathing to whole phases, as mhealth.labeling.BreathStream puts them together: of a
   common edge the earlier one counts, and a short pause belongs to the expiration before.

       if (!mh_phases_pop(&phases, &event) && mh_decoder_pop(..., &event)) { mh_phases_push(&phases, &table, &event); }

   The state takes 160 bytes. */
#ifndef MH_DECODER_PHASES_H
#define MH_DECODER_PHASES_H

#include "mh.h"

#define MH_PHASES_HELD 4
#define MH_PHASES_DONE (MH_PHASES_HELD + 1)

typedef struct {
    uint16_t farthest;       /* samples by which two phases may differ in their common edge */
    uint16_t shortest_pause; /* samples */
    uint8_t inspiration, expiration, pause; /* labels */
} mh_phases_table_t;

typedef struct {
    mh_event_t held[MH_PHASES_HELD]; /* what is no inspiration, each following the one before */
    mh_event_t done[MH_PHASES_DONE];
    uint32_t last_offset;
    uint8_t n_held, n_done, n_popped;
    uint8_t follows; /* there is a phase that the next one may follow */
} mh_phases_state_t;

void mh_phases_init(mh_phases_state_t *state);

/* Take the next event: a phase, or any other one, which is handed on. All that is ready must have been popped. */
void mh_phases_push(mh_phases_state_t *state, const mh_phases_table_t *table, const mh_event_t *event);

/* No further event comes. All that is ready must have been popped. */
void mh_phases_flush(mh_phases_state_t *state, const mh_phases_table_t *table);

/* Fetch the next event that is ready; returns 0 if there is none. */
int mh_phases_pop(mh_phases_state_t *state, mh_event_t *event);

#endif
