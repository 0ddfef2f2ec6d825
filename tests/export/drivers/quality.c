/* Reads samples and writes the code after each, then those that are left. */
#include <stdio.h>

#include "mh_quality.h"
#include "table.h"

static void put(uint8_t code)
{
    const int32_t out = code;
    (void)fwrite(&out, sizeof out, 1, stdout);
}

int main(void)
{
    static uint8_t flags[65536];
    static uint16_t floors[256], peaks[256];
    mh_quality_state_t state;
    int32_t sample;
    uint8_t code;
    mh_quality_init(&state, &table, flags, floors, peaks);
    while (fread(&sample, sizeof sample, 1, stdin) == 1) { put(mh_quality_push(&state, &table, sample)); }
    while ((code = mh_quality_drain(&state, &table)) != MH_NO_CODE) { put(code); }
    return 0;
}
