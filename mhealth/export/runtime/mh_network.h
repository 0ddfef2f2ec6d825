/* A network beside the segmenter: samples of one lead become its int8 inputs, its latest outputs are kept, and say what
   lies around a candidate. The twin is mhealth/export/_network.py. */
#ifndef MH_NETWORK_H
#define MH_NETWORK_H

#include "mh.h"
#include "mh_convolve.h"

/* Inputs of a network: the lead without its baseline, its slope, and 1. */
#define MH_NETWORK_INPUTS 3

/* Classes beside that of no wave, at most. */
#define MH_NETWORK_CLASSES 8

/* Probabilities are averaged over `count` outputs, from that of the sample `start` after a candidate on. */
typedef struct {
    int32_t factor; /* from their sum to the mean, Q4.11 and 16 bits more */
    int16_t start;
    uint8_t count;  /* at most 128: their sum fits 16 bits */
} mh_network_mean_t;

typedef struct {
    const mh_convolve_table_t *layers;
    const uint16_t *exponentials;  /* e^(-k * scale of the logits), Q1.15, as long as they are not 0 */
    const int16_t *near;           /* samples from a candidate at which the log odds are read */
    const mh_network_mean_t *means;
    int32_t gain;                  /* of the high-pass filter, Q1.31 */
    int32_t leak;                  /* what it forgets in a sample, Q1.31 */
    int32_t knees[2];              /* parts of the running scale at which lead and slope are half way, Q16.16 */
    int32_t code;                  /* from Q1.15 to the codes of the inputs, `code_shift` bits more */
    int32_t odds;                  /* from a difference of logits to log odds, Q4.11 and `odds_shift` bits more */
    int16_t odds_limit;            /* Q4.11 */
    uint16_t n_exponentials;
    uint16_t n_rows;               /* outputs that are kept, a power of two */
    int16_t ahead;                 /* outputs after its own that a candidate's description reads */
    uint16_t early;                /* outputs of the layers that tell of no sample yet */
    uint8_t code_shift;
    uint8_t odds_shift;
    uint8_t slope;                 /* samples between the two that it is the difference of */
    uint8_t stride;                /* samples of an output */
    uint8_t step;                  /* outputs from one that is averaged to the next */
    uint8_t n_classes;             /* beside that of no wave */
    uint8_t n_near;
    uint8_t n_means;
    int8_t nothing;                /* code of 0 */
    int8_t one;                    /* code of 1 */
} mh_network_table_t;

/* Numbers that describe a candidate: by place, by class. */
#define MH_NETWORK_DENSE(table) (((uint32_t)(table)->n_near + (table)->n_means) * (table)->n_classes)

typedef struct {
    mh_convolve_state_t layers; /* with the caller's memory */
    int8_t *logits;             /* the caller's: n_rows * (n_classes + 1), of the latest outputs */
    uint32_t position;          /* samples so far */
    uint32_t n_outputs;         /* outputs so far; output j is about samples j * stride to (j + 1) * stride - 1 */
    int32_t filtered;           /* high-pass filter, Q20.12 */
    uint16_t early;             /* outputs of the layers to come that tell of no sample */
} mh_network_state_t;

/* Before the first sample of a stretch. The caller has set the pointers. */
void mh_network_init(mh_network_state_t *state, const mh_network_table_t *table);

/* Take the sample after those so far, which the signal must still hold with the `slope` before it, and the running
   scale there, below 2^25. Returns whether that completed an output, which takes all of the work. */
bool mh_network_push(
    mh_network_state_t *state, const mh_network_table_t *table, const mh_signal_t *signal, uint32_t scale_q8);

/* Beyond the end of a stretch: go on with nothing by one sample. Returns whether outputs of its samples are missing. */
bool mh_network_drain(mh_network_state_t *state, const mh_network_table_t *table);

/* Whether all outputs are there that describe a candidate; at the end of a stretch they need not be. */
bool mh_network_knows(const mh_network_state_t *state, const mh_network_table_t *table, uint32_t position);

/* Write what outputs around a sample say, Q4.11: log odds of the classes at each place, in units of half of the largest,
   then their mean probabilities. Beyond the ends of a stretch the first and the last output count; before the oldest one
   that is kept, that one. */
void mh_network_describe(
    const mh_network_state_t *state, const mh_network_table_t *table, uint32_t position, int16_t *dense);

#endif
