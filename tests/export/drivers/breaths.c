/* Reads position, value and scale of candidates, notes each, and writes what describes it. */
#include <stdio.h>

#include "mh_breaths.h"
#include "table.h"

int main(void)
{
    static int16_t values[MH_BREATHS_MOST], ring[16];
    static uint16_t positions[MH_BREATHS_MOST];
    static const mh_signal_t signal = {ring, 15};
    mh_breaths_state_t state;
    int32_t in[3];
    mh_breaths_init(&state, values, positions);
    while (fread(in, sizeof in, 1, stdin) == 1) {
        int16_t dense[MH_BREATHS_DENSE];
        ring[(uint32_t)in[0] & 15u] = (int16_t)in[1];
        mh_breaths_note(&state, &table, &signal, (uint32_t)in[0]);
        mh_breaths_describe(&state, &table, (uint32_t)in[2], dense);
        for (int k = 0; k < MH_BREATHS_DENSE; ++k) {
            const int32_t out = dense[k];
            (void)fwrite(&out, sizeof out, 1, stdout);
        }
    }
    return 0;
}
