/* @banner@ */
#include "@name@.h"

@tables@

static void open_stretch(void *model)
{
    @name@_state_t *state = model;
    mh_beats_init(&state->beats);
}

static void take(void *model, uint32_t newest)
{
    @name@_state_t *state = model;
    mh_beats_push(&state->beats, &@name@_beats, &state->pipeline.signal, newest);
}

static void close_stretch(void *model, uint32_t newest)
{
    @name@_state_t *state = model;
    mh_beats_end(&state->beats, &@name@_beats, &state->pipeline.signal, newest);
}

static int ready(const void *model, uint32_t position, uint32_t limit)
{
    const @name@_state_t *state = model;
    (void)position;
    return mh_beats_ready(&state->beats, limit);
}

static void describe(void *model, const mh_candidate_t *candidate, uint32_t first, uint32_t newest, uint32_t limit,
                     int16_t *potentials, int8_t *shifts)
{
    @name@_state_t *state = model;
    mh_codes_state_t codes = {state->work, state->window, state->found};
    mh_emission_state_t emission = {state->hidden_first, state->hidden_second};
    uint32_t count;
    mh_beats_describe(&state->beats, &@name@_beats, &state->pipeline.signal, newest, candidate->position, limit,
                      candidate->scale_q8, state->average, state->average + @n_points@, state->dense);
    count = mh_codes_push(&codes, &@name@_codes, &state->pipeline.signal, first, newest + 1u, candidate->position,
                          candidate->scale_q8, state->average);
    mh_emission_push(&emission, &@name@_emission, state->dense, state->found, count, potentials, shifts);
}

@pipeline@
