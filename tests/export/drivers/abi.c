/* Any exported model as its header promises it: constants at compile time, statuses, samples that no converter gives.
   In: samples. Out: statuses of wrong calls, then label, flags, onset, offset of each event. */
#include MODEL_HEADER
#include "harness.h"

#define JOINED(a, b) a##b
#define NAMED(a, b) JOINED(a, b)
#define STATE NAMED(MODEL, _state_t)
#define INIT NAMED(MODEL, _init)
#define START NAMED(MODEL, _start)
#define STEP NAMED(MODEL, _step)
#define FLUSH NAMED(MODEL, _flush)

typedef char rate_is_a_constant[MODEL_RATE == EXPECTED_RATE ? 1 : -1];
typedef char size_is_a_constant[MODEL_STATE_SIZE == sizeof(STATE) ? 1 : -1];
typedef char abi_is_a_constant[MH_ABI_VERSION >= 1u ? 1 : -1];

static STATE state, untouched;

static void put(int32_t number) { harness_write(&number, 1); }

static int handed_out(const mh_event_t *event)
{
    if (event->label == MH_NO_EVENT) { return 0; }
    put(event->label);
    put(event->flags);
    put((int32_t)event->onset);
    put((int32_t)event->offset);
    return 1;
}

int main(void)
{
    mh_event_t event;
    int32_t sample;
    put((int32_t)sizeof state);
    put(INIT(NULL));
    put(STEP(NULL, 0, &event));
    put(FLUSH(NULL, &event));
    put(START(&state, MH_ABI_VERSION + 1u, sizeof state));
    put(START(&state, MH_ABI_VERSION, sizeof state + 8u));
    put(STEP(&untouched, 0, &event));
    put(FLUSH(&untouched, &event));
    put(INIT(&state));
    put(STEP(&state, 0, NULL));
    put(FLUSH(&state, NULL));
    put(INIT(&state));
    while (harness_read(&sample, 1) == 1) {
        if (STEP(&state, sample, &event) != MH_OK) { return 1; }
        (void)handed_out(&event);
    }
    do {
        if (FLUSH(&state, &event) != MH_OK) { return 1; }
    } while (handed_out(&event));
    put(STEP(&state, 0, &event));
    return 0;
}
