/* Candidates of a lead: the moments where it turns, so many that no two are far apart. The rules are those of
   mhealth.segmentation.Segmenter, the thresholds whole numbers. The box that smooths the lead is a sum, never divided,
   so that nothing is rounded; it is taken from the signal's ring wherever it is needed, and costs no memory.

       while (mh_scale_next(&scale, &scale_table, &value)) {
           mh_segment_push(&segment, &table, &signal, value);
           while (mh_segment_next(&segment, &table, &signal, &candidate)) { ... }
       }

   The ring holds the lead from its first sample on, and at least as many samples as the window of the running scale
   and the longest gap with its margins (SegmentTable.history). The running scale and floor of earlier
   samples are kept for groups of 2^group_shift of them: those of the group's latest sample that was decided. */
#ifndef MH_SEGMENT_H
#define MH_SEGMENT_H

#include "mh.h"
#include "mh_scale.h"

typedef struct {
    /* Thresholds, Q12.20; but for deviation_range times the length of the box. */
    uint32_t prominence, prominence_floor;
    uint32_t deviation, deviation_floor, deviation_range;
    uint32_t busy_range;
    uint32_t reference; /* samples * 4^root_shift */
    uint16_t half;      /* of the box, which has 2 * half + 1 samples */
    uint16_t reach, arm, shortest, busy_gap, longest_gap; /* samples */
    uint16_t n_splits; /* that may wait while a gap is taken apart */
    uint16_t n_groups; /* a power of two; those of the longest gap */
    uint8_t root_shift;
    uint8_t group_shift;
} mh_segment_table_t;

typedef struct {
    uint32_t position; /* samples from the start of the stretch */
    uint32_t scale_q8; /* the running scale there, at least 1 */
} mh_candidate_t;

typedef struct {
    mh_scale_value_t *groups;
    uint16_t *splits;     /* how far they lie before `stop` */
    uint32_t position;    /* of the next sample to decide */
    uint32_t last;        /* candidate; at first the first sample, which is none */
    uint32_t stop;        /* end of the gap that is being taken apart */
    uint32_t first_held;  /* beyond these two, the stretch goes on as they are */
    uint32_t final_held;
    int32_t before;       /* smoothed signal around the latest sample decided */
    int32_t value;
    int32_t after;
    uint16_t n_open;      /* splits that wait, the end of the gap among them */
    uint16_t n_pieces;    /* into which the part before the latest split is cut evenly, 0: not known yet */
    uint16_t piece;
    uint8_t ended;        /* final_held is the last sample of the stretch */
    uint8_t closing;      /* the end of the gap is that of the stretch, and no candidate */
} mh_segment_state_t;

/* Start a stretch; `groups` holds table->n_groups entries, `splits` table->n_splits. */
void mh_segment_init(mh_segment_state_t *state, const mh_segment_table_t *table, mh_scale_value_t *groups,
                     uint16_t *splits);

/* Say that the stretch ends before sample `end`; comes before the values that mh_scale_end lets out are pushed. */
void mh_segment_end(mh_segment_state_t *state, uint32_t end);

/* Decide the next sample, given its scale and floor. All candidates must be fetched before the next one. */
void mh_segment_push(mh_segment_state_t *state, const mh_segment_table_t *table, const mh_signal_t *signal,
                     mh_scale_value_t value);

/* Fetch the next candidate; returns 0 if none is decided. After the last sample of a stretch that has ended, those of
   its last gap follow. */
int mh_segment_next(mh_segment_state_t *state, const mh_segment_table_t *table, const mh_signal_t *signal,
                    mh_candidate_t *candidate);

/* No candidate before this sample is still to come. */
uint32_t mh_segment_decided(const mh_segment_state_t *state);

#endif
