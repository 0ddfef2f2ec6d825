/* The least that uses a model: what it takes of the flash, less what the same takes without it. */
#include "harness.h"
#ifdef WITH_MODEL
#include "@name@.h"
static @name@_state_t state;
#endif

int main(void)
{
    int32_t sample = 0;
#ifdef WITH_MODEL
    mh_event_t event;
    (void)@name@_init(&state);
    while (harness_read(&sample, 1) == 1) {
        if (@name@_step(&state, sample, &event) == MH_OK) { harness_write((const int32_t *)&event.onset, 1); }
    }
    (void)@name@_flush(&state, &event);
#else
    while (harness_read(&sample, 1) == 1) { harness_write(&sample, 1); }
#endif
    return 0;
}
