/* Heartbeats without labels, and a candidate's place among them: the average beat, and the rhythm. For 250 Hz.
   Twin: mhealth/_kernels/_fixed_beats.py. */
#ifndef MH_BEATS_H
#define MH_BEATS_H

#include "mh.h"

#define MH_BEATS_KEPT 16u  /* beats that are remembered; a power of two */
#define MH_BEATS_RHYTHM 12 /* numbers that describe the rhythm */

typedef struct {
    uint16_t warm_up; /* samples of a stretch that tell how strong its beats are, before any is looked for */
    uint16_t horizon; /* samples before a candidate beyond which beats do not count */
    uint8_t n_beats;  /* that are averaged at most */
    uint8_t half;     /* length of the averaged window to either side, samples */
    uint8_t width;    /* of its bins, samples */
} mh_beats_table_t;

typedef struct {
    uint32_t landmarks[MH_BEATS_KEPT]; /* the moment of steepest change of each beat; beat k lies at k mod KEPT */
    uint8_t delays[MH_BEATS_KEPT];     /* samples from there to the one that made the beat known */
    uint32_t n_found;
    uint32_t followed;  /* samples whose energy is judged */
    uint32_t energy;    /* of the slope around the last of them */
    uint32_t best;      /* energy since the last decision */
    uint32_t best_at, last_beat;
    uint32_t level_q8;  /* running energy of beats */
    uint8_t is_warm;
} mh_beats_state_t;

/* Start a stretch. */
void mh_beats_init(mh_beats_state_t *state);

/* Look for beats once sample `newest`, one after that of the last call, is in the ring. After the warm-up the samples
   before are gone through 16 a call, which takes a sixteenth as long: the ring must hold them until then. */
void mh_beats_push(mh_beats_state_t *state, const mh_beats_table_t *table, const mh_signal_t *signal, uint32_t newest);

/* Look for the last beats of a stretch that ends after sample `newest`. */
void mh_beats_end(mh_beats_state_t *state, const mh_beats_table_t *table, const mh_signal_t *signal, uint32_t newest);

/* Whether all beats are found that a candidate may know of whose limit is this sample; all are after mh_beats_end. */
int mh_beats_ready(const mh_beats_state_t *state, uint32_t limit);

/* Describe a candidate that may know of samples up to `limit` <= newest.
   before, after: 2 half / width averages each over the recent beats, at the candidate's distance before the next one
   and after the last one, in 1/256 ADC units, without their mean; zeros where there is none.
   rhythm: Q4.11 each, see beat_context in mhealth/_kernels/_beats.py. */
void mh_beats_describe(const mh_beats_state_t *state, const mh_beats_table_t *table, const mh_signal_t *signal,
                       uint32_t newest, uint32_t position, uint32_t limit, uint32_t scale_q8, int32_t *before,
                       int32_t *after, int16_t *rhythm);

#endif
