/* Where a lead cannot be labelled: dropout, flat line, saturation, noise. Twin: mhealth/_kernels/_fixed_quality.py. */
#ifndef MH_QUALITY_H
#define MH_QUALITY_H

#include <stdint.h>

/* What is said of a sample. */
enum { MH_USABLE = 0, MH_DROPOUT, MH_FLAT, MH_SATURATED, MH_NOISE, MH_NO_CODE = 255 };

/* Bytes of the caller's buffer of flags, for the table's look; those of floors and peaks are entries of the table. */
#define MH_QUALITY_FLAGS(look) ((2u * (look) + 4u) / 4u)

typedef struct {
    int32_t sections[2][2][5]; /* band: of beats, of noise; section; b0 b1 b2 -a1 -a2 as Q2.29 */
    uint32_t rail_zone;        /* at a rail: share of the running range, Q0.32 */
    uint32_t rail_step;        /* a jump: change as a share of the running range, Q16.16 */
    uint16_t enter, leave;     /* ratios of energies at which noise begins and ends, Q0.16 */
    uint16_t quiet_share;      /* of the blocks that is quiet in any rhythm, Q0.16 */
    uint16_t peak_rank;        /* share of the peaks that the one taken exceeds, Q0.16 */
    uint16_t fewest_steps;     /* of the converter that a signal moves by, Q8.8; 0: not judged */
    uint16_t look, still, bucket, range_known, shortest_noise; /* samples */
    uint8_t box, block;                                        /* samples */
    uint8_t peak_blocks, warm_up, n_floors;                    /* blocks */
    uint8_t n_peaks;
    uint8_t flat_is_off; /* a flat line ends the stretch */
    uint8_t fraction; /* binary digits after the point in the filters */
} mh_quality_table_t;

typedef struct {
    uint8_t *flags;   /* MH_QUALITY_FLAGS(look): of each sample of 2 look + 1 two bits, is missing and on a rail */
    uint16_t *floors; /* n_floors energies of the latest blocks, as short floating numbers */
    uint16_t *peaks;  /* n_peaks of the largest energies */
    uint64_t energy[2];
    int32_t memory[5][2]; /* last two inputs of the filters, then outputs of each section */
    int32_t last, total, offset;
    int16_t high, low, high_before, low_before;
    uint16_t heard, n_valid, slot, n_rail, run, longest, longest_before;
    uint16_t constant_left, step, bucket_left, hold, drained;
    uint8_t is_flat, constant_code, at_extreme, jumped, box_left, block_left, skip, restart;
    uint8_t floor_slot, n_floors, peak_slot, n_peaks, peak_left, noisy;
} mh_quality_state_t;

/* Start a lead. The buffers must live as long as the state. */
void mh_quality_init(mh_quality_state_t *state, const mh_quality_table_t *table, uint8_t *flags, uint16_t *floors,
                     uint16_t *peaks);

/* Take a sample, of 16 bits or MH_MISSING; return the code of the sample `look` before it, MH_NO_CODE while there is
   none. */
uint8_t mh_quality_push(mh_quality_state_t *state, const mh_quality_table_t *table, int32_t sample);

/* After the last sample: return the code of the next one, MH_NO_CODE after the last. */
uint8_t mh_quality_drain(mh_quality_state_t *state, const mh_quality_table_t *table);

#endif
