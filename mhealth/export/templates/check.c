/* Runs the golden vectors: exits with 0 if the compiled code says of @seconds@ s of signal what the export's twin said.
   Nothing but the step is linked in, so it can be copied to a board as it is. */
#include "@name@.h"
#include "golden.h"

static @name@_state_t state;

static int equal(const mh_event_t *event, const int32_t row[5])
{
    return event->label == (uint8_t)row[0] && event->flags == (uint8_t)row[1] && event->onset == (uint32_t)row[2] &&
           event->peak == (uint32_t)row[3] && event->offset == (uint32_t)row[4];
}

int main(void)
{
    uint32_t found = 0;
    mh_event_t event;
    if (@name@_init(&state) != MH_OK) { return 2; }
    for (uint32_t n = 0; n < GOLDEN_SAMPLES; n++) {
        if (@name@_step(&state, golden_sample(n), &event) != MH_OK) { return 2; }
        if (event.label == MH_NO_EVENT) { continue; }
        if (found == GOLDEN_EVENTS || !equal(&event, golden_events[found])) { return 1; }
        found++;
    }
    for (;;) {
        if (@name@_flush(&state, &event) != MH_OK) { return 2; }
        if (event.label == MH_NO_EVENT) { break; }
        if (found == GOLDEN_EVENTS || !equal(&event, golden_events[found])) { return 1; }
        found++;
    }
    return found == GOLDEN_EVENTS ? 0 : 1;
}
