/* Labels a recording: samples in ADC units come by standard input, one a line, "-" where one is missing; what was found
   is written a line each. On a microcontroller the loop is the same, once for each sample of the converter.

       make && ./example < samples.txt */
#include <stdio.h>
#include <stdlib.h>

#include "@name@.h"

static @name@_state_t state; /* sizeof(@name@_state_t) bytes of RAM, and all that it needs but for the stack */

static void print(const mh_event_t *event)
{
    if (event->label == MH_NO_EVENT) { return; }
    printf("%s,%lu,", @name@_labels[event->label], (unsigned long)event->onset);
    if (event->peak != MH_NO_PEAK) { printf("%lu", (unsigned long)event->peak); }
    printf(",%lu,%s\n", (unsigned long)event->offset, event->flags & MH_EVENT_CLIPPED ? "clipped" : "");
}

int main(void)
{
    char line[64];
    mh_event_t event;
    if (@name@_init(&state) != MH_OK) { return 1; }
    printf("label,onset,peak,offset,flags\n");
    while (fgets(line, sizeof line, stdin) != NULL) {
        const int32_t sample = line[0] == '-' && line[1] == '\n' ? MH_MISSING : (int32_t)strtol(line, NULL, 10);
        if (@name@_step(&state, sample, &event) != MH_OK) { return 1; }
        print(&event);
    }
    do {
        if (@name@_flush(&state, &event) != MH_OK) { return 1; }
        print(&event);
    } while (event.label != MH_NO_EVENT);
    return 0;
}
