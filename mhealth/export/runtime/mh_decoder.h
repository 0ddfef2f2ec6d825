/* From what each candidate says to the waves of a lead: the best labelling in spans, committed with a fixed lag.
   The rules are those of mhealth.crf.SpanDecoder and mhealth.labeling, in 1/256 nat; where less memory makes a
   difference is said in mhealth/_kernels/_fixed_decoder.py, the twin of every loop.

       mh_decoder_open(&decoder, first_sample);                        a stretch of usable signal starts
       mh_decoder_push(&decoder, &table, position, potentials, shifts); at every candidate
       mh_decoder_close(&decoder, &table, end);                        it has ended before sample `end`
       if (mh_decoder_pop(&decoder, &table, &signal, newest, &event)) { ... }

   Positions count from mh_decoder_init on and go on from stretch to stretch. Waves that are certain wait in the rows
   of the nodes that they cover; so pop them, one a sample will do, and all of a stretch before the next one opens.

   With scores of 24 nodes and rows of 64, the six states of an ECG take 2.8 KB, and so do breaths, which are `exact`. A
   push takes some 11,000 cycles of an M3 on average, at most 50,000 for an ECG. */
#ifndef MH_DECODER_H
#define MH_DECODER_H

#include "mh.h"

#define MH_DECODER_MOST_STATES 8
#define MH_DECODER_MOST_REACH 127       /* nodes: an arc is a byte */
#define MH_DECODER_LONGEST_WAVE 8192u   /* samples of which the peak is looked for: 16 + 13 + 2 bits */
#define MH_DECODER_IMPOSSIBLE INT16_MIN /* a transition that the grammar does not have */
#define MH_DECODER_NONE 255u

typedef enum { MH_PEAK_NONE, MH_PEAK_OF_CHORD, MH_PEAK_AT_OFFSET } mh_peak_t;

typedef struct {
    int16_t transition[MH_DECODER_MOST_STATES][MH_DECODER_MOST_STATES]; /* [before][after] */
    int16_t self_transition[MH_DECODER_MOST_STATES];
    const int16_t *duration;                       /* [n_states][n_bins] */
    uint32_t bins_q16[MH_DECODER_MOST_STATES];     /* duration bins a sample, Q16.16 */
    uint16_t longest[MH_DECODER_MOST_STATES];      /* samples of a span */
    uint8_t chain[MH_DECODER_MOST_STATES];         /* which one it is of the states that continue; NONE */
    uint8_t shown[MH_DECODER_MOST_STATES];         /* which one it is of the states that are reported; NONE */
    uint8_t label[MH_DECODER_MOST_STATES];         /* of the states that are reported */
    uint8_t cut[MH_DECODER_MOST_STATES];           /* MH_EVENT_CUT_...: reported though it is cut there */
    uint8_t peak[MH_DECODER_MOST_STATES];          /* mh_peak_t */
    uint32_t lag;                                  /* samples */
    uint8_t n_states, n_bins, n_chains, n_shown; /* n_states + n_chains <= 8 */
    uint8_t reach;                                 /* most intervals of a span, 127 at most */
    uint8_t rows;                                  /* nodes that are kept, reach + 2 at least */
    uint8_t every;                                 /* nodes of which one asks what is certain by now: a power of two */
    uint8_t exact; /* whether second best paths are looked for where a commitment rules out the best one */
    /* A wave of a state that is top_from samples or longer ends in the middle of the upper 1 / top_part of its rise,
       which is looked for so far to either side of its end, in sums of top_box samples; top_box 0: no state does. */
    uint8_t top_state, top_from, top_reach, top_box, top_part;
} mh_decoder_table_t;

/* What a decoder works in, for the numbers of its table; MH_DECODER_BUFFERS(&memory) hands it to mh_decoder_init. */
#define MH_DECODER_MEMORY(n_states, n_chains, n_shown, reach, rows, exact)                                             \
    struct {                                                                                                           \
        int32_t fresh[(reach) * (n_states)];                                                                           \
        int32_t chained[(reach) * (n_chains)];                                                                         \
        int32_t totals[(exact) ? (reach) * (n_states) : 1];                                                            \
        uint32_t positions[(rows)];                                                                                    \
        int16_t middles[(reach) * (n_states)];                                                                         \
        int16_t onsets[(exact) ? (reach) * (n_states) : 1];                                                            \
        int16_t offsets[(exact) ? (reach) * (n_states) : 1];                                                           \
        uint16_t lengths[(reach)];                                                                                     \
        uint8_t centres[(reach)];                                                                                      \
        uint8_t arcs[(rows) * (2 * (n_states) + (n_chains))];                                                          \
        uint8_t alive[(rows)];                                                                                         \
        uint8_t kept[(exact) ? (rows) : 1];                                                                            \
        int8_t shifts[(rows) * 2 * (n_shown)];                                                                         \
    }
#define MH_DECODER_BUFFERS(memory)                                                                                     \
    {(memory)->fresh,   (memory)->chained, (memory)->totals,  (memory)->positions, (memory)->middles,                  \
     (memory)->onsets,  (memory)->offsets, (memory)->lengths, (memory)->centres,   (memory)->arcs,                     \
     (memory)->alive,   (memory)->kept,    (memory)->shifts}

typedef struct {
    int32_t *fresh;      /* scores of spans that start at the latest `reach` nodes but the newest, state by state; */
    int32_t *chained;    /* of those that go on there; both less the inside scores before the node */
    int32_t *totals;     /* those inside scores, node by node, if exact */
    uint32_t *positions; /* of the latest `rows` nodes, as are all below centres */
    int16_t *middles;    /* of the nodes of `fresh`, state by state */
    int16_t *onsets;     /* of these, node by node, if exact */
    int16_t *offsets;
    uint16_t *lengths;   /* of the spans that stop at the newest node, shortest first */
    uint8_t *centres;    /* of these spans, as entries of `middles` */
    uint8_t *arcs;       /* started, before, linked, see mh_decoder.c */
    uint8_t *alive;      /* hypotheses, as bits: states of which a new span may start, then those that may go on */
    uint8_t *kept;       /* those that the latest commitment left as they are, if exact */
    int8_t *shifts;      /* of onset and offset of each state that is reported, in samples */
} mh_decoder_buffers_t;

typedef struct {
    mh_decoder_buffers_t at;
    int32_t total[MH_DECODER_MOST_STATES];      /* inside scores up to the newest node */
    int32_t ended[MH_DECODER_MOST_STATES];      /* score of the best path to a span that stops at the newest node */
    int16_t newest[4 * MH_DECODER_MOST_STATES]; /* potentials of the newest node */
    uint32_t opened;                            /* first sample of the stretch */
    uint32_t closed;                            /* the one before which it has ended */
    uint32_t earliest;                          /* no wave starts before the offset of the one before */
    uint32_t onset;                             /* of the wave that is held: it may go on */
    uint32_t offset;
    uint8_t held;       /* its state, NONE: there is none */
    uint8_t held_flags;
    uint8_t is_open, is_closed;
    uint8_t counts[MH_DECODER_MOST_STATES]; /* spans of `lengths` that are not too long for each state */
    uint8_t row, score_row; /* where the newest node lies in the ring of rows, the one before in that of scores */
    uint8_t since;          /* nodes since scores were taken anew */
    /* Nodes, by how many the newest one lies after them: the first of the stretch (255: or more), the last one of what
       is committed, and the one up to which that was popped. */
    uint8_t first, root, popped;
    uint8_t root_state, root_linked;
} mh_decoder_state_t;

void mh_decoder_init(mh_decoder_state_t *state, mh_decoder_buffers_t buffers);

/* Start a stretch of usable signal at a sample. What was not popped of the one before is lost. */
void mh_decoder_open(mh_decoder_state_t *state, const mh_decoder_table_t *table, uint32_t position);

/* Take a candidate after all others of the stretch; any other one is left out. `potentials` holds the scores of inside,
   onset, offset and middle, each of n_states, in 1/256 nat; `shifts` the distances of the onset and offset of each state
   from the candidate, in samples, 2 * n_states. Where waves were not popped and no row is free, the oldest is lost. */
void mh_decoder_push(mh_decoder_state_t *state, const mh_decoder_table_t *table, uint32_t position,
                     const int16_t *potentials, const int8_t *shifts);

/* End the stretch before a sample; all that is left of it is certain then. */
void mh_decoder_close(mh_decoder_state_t *state, const mh_decoder_table_t *table, uint32_t position);

/* Fetch the next wave that is certain, and return whether there was one. `newest` is the position of the newest sample
   in the ring; where a wave starts before the oldest one, its peak is looked for from there on. */
int mh_decoder_pop(mh_decoder_state_t *state, const mh_decoder_table_t *table, const mh_signal_t *signal,
                   uint32_t newest, mh_event_t *event);

#endif
