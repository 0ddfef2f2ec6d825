/* Reads how many samples and candidates come, the samples of a stretch, and of each candidate its position, limit, the
   sample after which it is described (the number of samples for after the end) and scale. Writes whether beats were
   ready, the windows and the rhythm of each. */
#include <stdio.h>
#include <stdlib.h>

#include "mh_beats.h"
#include "table.h"

static mh_beats_state_t state;
static int16_t ring[HISTORY];
static const mh_signal_t signal = {ring, HISTORY - 1};

static void put(int32_t value) { (void)fwrite(&value, sizeof value, 1, stdout); }

static int get(int32_t *values, size_t n) { return fread(values, sizeof *values, n, stdin) == n; }

static void describe(const int32_t candidate[4], uint32_t newest)
{
    int32_t windows[2][128];
    int16_t rhythm[MH_BEATS_RHYTHM];
    const int32_t n_points = 2 * table.half / table.width;
    mh_beats_describe(&state, &table, &signal, newest, (uint32_t)candidate[0], (uint32_t)candidate[1],
                      (uint32_t)candidate[3], windows[0], windows[1], rhythm);
    put(mh_beats_ready(&state, (uint32_t)candidate[1]));
    for (int k = 0; k < 2; ++k) {
        for (int32_t b = 0; b < n_points; ++b) { put(windows[k][b]); }
    }
    for (int k = 0; k < MH_BEATS_RHYTHM; ++k) { put(rhythm[k]); }
}

int main(void)
{
    int32_t counts[2], (*candidates)[4], *samples, k = 0;
    if (!get(counts, 2)) { return 1; }
    samples = calloc((size_t)counts[0], sizeof *samples);
    candidates = calloc((size_t)counts[1] + 1, sizeof *candidates);
    if (samples == NULL || candidates == NULL || !get(samples, (size_t)counts[0])
        || !get(candidates[0], 4 * (size_t)counts[1])) {
        return 1;
    }
    mh_beats_init(&state);
    for (int32_t n = 0; n < counts[0]; ++n) {
        ring[(uint32_t)n & signal.mask] = (int16_t)samples[n];
        mh_beats_push(&state, &table, &signal, (uint32_t)n);
        for (; k < counts[1] && candidates[k][2] == n; ++k) { describe(candidates[k], (uint32_t)n); }
    }
    mh_beats_end(&state, &table, &signal, (uint32_t)counts[0] - 1u);
    for (; k < counts[1]; ++k) { describe(candidates[k], (uint32_t)counts[0] - 1u); }
    free(samples);
    free(candidates);
    return 0;
}
