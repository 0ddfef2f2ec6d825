/* Runs whole leads through the model and counts what a step takes. In: the number of samples, then these, lead by lead.
   Out: the events of each lead, five numbers each, then five times -1. */
#include "harness.h"
#include "@name@.h"

static @name@_state_t state;
static int32_t samples[64];

static void put(const mh_event_t *event)
{
    const int32_t numbers[5] = {event->label, event->flags, (int32_t)event->onset, (int32_t)event->peak,
                                (int32_t)event->offset};
    harness_write(numbers, 5);
}

int main(void)
{
    static const int32_t end[5] = {-1, -1, -1, -1, -1};
    mh_event_t event;
    int32_t left;
    uint32_t worst = 0, steps = 0, total = 0, carried = 0;
    const uint32_t start = harness_instructions(), nothing = harness_instructions() - start;
    harness_paint_stack();
    while (harness_read(&left, 1) == 1) {
        if (@name@_init(&state) != MH_OK) { return 5; }
        while (left > 0) {
            const uint32_t count = harness_read(samples, left < 64 ? (uint32_t)left : 64u);
            if (count == 0) { return 6; }
            left -= (int32_t)count;
            for (uint32_t k = 0; k < count; k++) {
                const uint32_t before = harness_instructions();
                const mh_status_t status = @name@_step(&state, samples[k], &event);
                const uint32_t took = harness_instructions() - before - nothing;
                if (status != MH_OK) { return 7; }
                if (took > worst) { worst = took; }
                carried += total + took < total ? 1 : 0;
                total += took;
                steps++;
                if (event.label != MH_NO_EVENT) { put(&event); }
            }
        }
        do {
            if (@name@_flush(&state, &event) != MH_OK) { return 8; }
            if (event.label != MH_NO_EVENT) { put(&event); }
        } while (event.label != MH_NO_EVENT);
        harness_write(end, 5);
    }
    harness_report((int32_t)steps);
    harness_report((int32_t)total);
    harness_report((int32_t)carried);
    harness_report((int32_t)worst);
    harness_report((int32_t)sizeof state);
    harness_report((int32_t)harness_stack_used());
    return 0;
}
