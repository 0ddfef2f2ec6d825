/* What calls of an exported model answer where they are called wrongly, and whether two leads know of each other. */
#include "harness.h"
#include "ecg_mcu.h"

static ecg_mcu_state_t state, other, untouched;
static int32_t numbers[2];

static void put(int32_t number) { harness_write(&number, 1); }

static void put_event(const mh_event_t *event)
{
    put(event->label);
    put((int32_t)event->onset);
    put((int32_t)event->offset);
}

int main(void)
{
    mh_event_t event, of_other;
    put(ecg_mcu_init(NULL));
    put(ecg_mcu_start(&state, MH_ABI_VERSION + 1u, sizeof state));
    put(ecg_mcu_start(&state, MH_ABI_VERSION, sizeof state - 1u));
    put(ecg_mcu_step(&untouched, 0, &event));
    put(ecg_mcu_flush(&untouched, &event));
    put(ecg_mcu_init(&state));
    put(ecg_mcu_init(&other));
    put(ecg_mcu_step(NULL, 0, &event));
    put(ecg_mcu_step(&state, 0, NULL));
    put(ecg_mcu_flush(NULL, &event));
    put(ecg_mcu_flush(&state, NULL));
    /* Two leads, sample by sample in turn. */
    while (harness_read(numbers, 2) == 2) {
        if (ecg_mcu_step(&state, numbers[0], &event) != MH_OK) { return 1; }
        if (ecg_mcu_step(&other, numbers[1], &of_other) != MH_OK) { return 1; }
        if (event.label != MH_NO_EVENT) { put_event(&event); }
    }
    do {
        if (ecg_mcu_flush(&state, &event) != MH_OK) { return 1; }
        if (event.label != MH_NO_EVENT) { put_event(&event); }
    } while (event.label != MH_NO_EVENT);
    put(-1);
    put(ecg_mcu_step(&state, 0, &event));
    put(ecg_mcu_flush(&state, &event));
    put(event.label);
    put(ecg_mcu_step(&other, 0, &event));
    return 0;
}
