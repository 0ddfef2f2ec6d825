/* A lead from its samples to labelled waves: what NAME_init, NAME_step and NAME_flush of an exported model do. The twin
   is mhealth/export/_pipeline.py.

   Every sample goes to the judgement of quality; those of a stretch, which has no missing ones, to the running scale,
   the segmenter and the context of the model. A candidate waits until it may be described: until the samples that it
   may know of are there, and it is known whether it is usable. At 250 Hz one is described a step, so that no step takes
   much longer than that. The decoder sees usable parts, from their first sample to the one after their last.

   A missing sample ends the stretch, and so does a line that is found flat, where that tells of a lead that is off.
   What is left of it is finished in the steps that follow, and the next one starts at the first sample that is there
   `resume` samples later; what comes before is not usable. */
#ifndef MH_PIPELINE_H
#define MH_PIPELINE_H

#include "mh_decoder.h"
#include "mh_fixed.h"
#include "mh_quality.h"
#include "mh_segment.h"

/* Label of an event that is none. */
#define MH_NO_EVENT 255u

/* Flag of an event: a sample in it did not fit 16 bits and was clipped. */
#define MH_EVENT_CLIPPED 4u

/* What a model does of its own; NULL, but for `open` and `describe`, where it does nothing. `model` is its whole state;
   positions are samples from the start of the stretch. */
typedef struct {
    void (*open)(void *model);                       /* a stretch starts */
    void (*take)(void *model, uint32_t newest);      /* its next sample is in the ring */
    void (*measure)(void *model, uint32_t scale_q8); /* the running scale of the next sample, somewhat later */
    void (*close)(void *model, uint32_t newest);     /* no samples follow, but the scales of the latest */
    int (*drain)(void *model);                       /* nor do these: work off what is left, and say if more is */
    /* Whether a candidate that may know of samples up to `limit` can be described. */
    int (*ready)(const void *model, uint32_t position, uint32_t limit);
    /* Write its 4 n_states potentials and 2 n_states shifts. Samples first to newest are in the ring. */
    void (*describe)(void *model, const mh_candidate_t *candidate, uint32_t first, uint32_t newest, uint32_t limit,
                     int16_t *potentials, int8_t *shifts);
    /* What becomes of events before they are handed out: take the next one, NULL after the last; and fetch one that is
       ready, returning whether there was one. */
    void (*settle)(void *model, const mh_event_t *event);
    int (*settled)(void *model, mh_event_t *event);
} mh_describer_t;

typedef struct {
    const mh_describer_t *describer;
    const mh_quality_table_t *quality;
    const mh_scale_table_t *scale;
    const mh_segment_table_t *segment;
    const mh_decoder_table_t *decoder;
    uint16_t lookahead; /* samples after a candidate that its description may depend on */
    uint16_t warm_up;   /* samples of a stretch that its first candidates may know of */
    uint16_t resume;    /* samples from the one that ended a stretch to the next stretch at the earliest */
    uint16_t n_queue;   /* candidates that may wait */
    uint16_t n_of_gap;  /* of them that one gap may hold */
    uint8_t n_a_step;   /* that are described in a step at most */
    uint8_t hurry;      /* how many times as much a step does once the stretch has ended */
    uint8_t unusable;   /* label of what cannot be used */
} mh_pipeline_table_t;

/* Bytes of a buffer with a bit for each sample in the ring. */
#define MH_PIPELINE_BITS(history) ((history) / 8u)

typedef struct {
    uint32_t version;
    mh_signal_t signal; /* of the stretch */
    mh_quality_state_t quality;
    mh_scale_state_t scale;
    mh_segment_state_t segment;
    mh_decoder_state_t decoder;
    uint8_t *bad;          /* bits of the lead's samples: not usable */
    uint8_t *clipped;      /* did not fit 16 bits */
    uint8_t *gaps;         /* a queue, in a ring: samples of a candidate that waits from the one before */
    uint32_t *scales;      /* the running scale at it, NULL if its description has no use for that */
    int16_t *potentials;   /* of one candidate */
    int8_t *shifts;
    uint32_t position;   /* samples taken */
    uint32_t judged;     /* of them it is known whether they are usable */
    uint32_t front;      /* samples that the decoder has dealt with */
    uint32_t start;      /* of the stretch */
    uint32_t n_samples;  /* of the stretch */
    uint32_t proposed;   /* in the stretch, where the last candidate of the queue lies, */
    uint32_t described;  /* and the one before its first */
    uint32_t bad_since;  /* where the latest unusable part starts */
    uint32_t clipped_before; /* one more than the latest sample before those in the ring that did not fit; 0: none */
    uint16_t wait;       /* samples before which no stretch starts */
    uint16_t first;      /* of the queue */
    uint16_t n_waiting;  /* in the queue */
    uint16_t n_marked;   /* samples to come until no mark is in the ring */
    uint8_t phase;
    uint8_t is_drained;  /* whether a stretch that has ended has no more candidates, but for those of the queue */
    uint8_t is_bad;      /* whether the front lies in an unusable part */
    uint8_t is_decoding; /* whether it lies in a usable one */
    uint8_t is_clipped;  /* whether a sample of that unusable part did not fit */
    uint8_t ended;
    uint8_t is_settled;  /* whether the model knows that no event follows */
} mh_pipeline_state_t;

/* Buffers of the caller, which live as long as the state. */
typedef struct {
    int16_t *samples;       /* `history`, a power of two, 8 at least */
    uint8_t *bad, *clipped; /* MH_PIPELINE_BITS(history) each */
    uint8_t *quality_flags; /* of the stages: see there */
    uint16_t *quality_floors, *quality_peaks;
    mh_scale_block_t *scale_blocks;
    mh_scale_value_t *segment_groups;
    uint16_t *segment_splits;
    mh_decoder_buffers_t decoder;
    uint8_t *gaps;         /* n_queue */
    uint32_t *scales;      /* n_queue, or NULL */
    int16_t *potentials;   /* 4 n_states */
    int8_t *shifts;        /* 2 n_states */
} mh_pipeline_buffers_t;

/* Start a lead. */
void mh_pipeline_init(mh_pipeline_state_t *state, const mh_pipeline_table_t *table,
                      const mh_pipeline_buffers_t *buffers, uint32_t history);

/* Take a sample in ADC units, or MH_MISSING. `event` becomes one that is certain now, or has the label MH_NO_EVENT. */
mh_status_t mh_pipeline_step(mh_pipeline_state_t *state, const mh_pipeline_table_t *table, void *model, int32_t sample,
                             mh_event_t *event);

/* End the lead, and hand out what is left, an event a call; MH_NO_EVENT after the last one. */
mh_status_t mh_pipeline_flush(mh_pipeline_state_t *state, const mh_pipeline_table_t *table, void *model,
                              mh_event_t *event);

#endif
