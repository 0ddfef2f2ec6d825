/* Reads the number of a set of tables, the position of the first sample and samples, MH_MISSING between stretches.
   Writes (0, scale, floor) for every sample, (1, position, scale) for every candidate, (2, decided, 0) after every step,
   positions counted from the first sample. Reports the bytes of both states, of their buffers, and of stack, and
   the instructions of the longest step. */
#include "harness.h"
#include "mh_fixed.h"
#include "mh_segment.h"
#include "tables.h"

static mh_scale_state_t scale;
static mh_segment_state_t segment;

static uint32_t origin, n_pushed, longest;

static void put(int32_t kind, uint32_t a, uint32_t b)
{
    const int32_t row[3] = {kind, (int32_t)a, (int32_t)b};
    harness_write(row, 3);
}

/* Start a stretch at any position: as if the stream had run until there. */
static void start(const set_t *set)
{
    mh_scale_init(&scale, set->scale, set->blocks);
    mh_segment_init(&segment, set->segment, set->groups, set->splits);
    segment.position = segment.last = segment.first_held = segment.final_held = origin;
    n_pushed = 0;
}

static void fetch(const set_t *set)
{
    mh_scale_value_t value;
    mh_candidate_t candidate;
    while (mh_scale_next(&scale, set->scale, &value)) {
        put(0, value.scale_q8, value.floor_q8);
        mh_segment_push(&segment, set->segment, &set->signal, value);
        while (mh_segment_next(&segment, set->segment, &set->signal, &candidate)) {
            put(1, candidate.position - origin, candidate.scale_q8);
        }
    }
    put(2, mh_segment_decided(&segment) - origin, 0);
}

static void push(const set_t *set, int16_t sample)
{
    const uint32_t before = harness_instructions();
    set->signal.samples[(origin + n_pushed++) & set->signal.mask] = sample;
    mh_scale_push(&scale, set->scale, sample);
    fetch(set);
    const uint32_t took = harness_instructions() - before;
    if (took > longest) { longest = took; }
}

static void end(const set_t *set)
{
    mh_scale_end(&scale, set->scale);
    mh_segment_end(&segment, origin + n_pushed);
    fetch(set);
}

int main(void)
{
    int32_t in[2];
    (void)harness_read(in, 2);
    const set_t *const set = &sets[in[0]];
    origin = (uint32_t)in[1];
    harness_paint_stack();
    start(set);
    while (harness_read(in, 1)) {
        if (in[0] == MH_MISSING) {
            end(set);
            start(set);
        } else {
            push(set, (int16_t)in[0]);
        }
    }
    end(set);
    harness_report((int32_t)(sizeof scale + sizeof segment));
    harness_report((int32_t)set->n_bytes);
    harness_report((int32_t)harness_stack_used());
    harness_report((int32_t)longest);
    return 0;
}
