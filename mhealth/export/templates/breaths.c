/* @banner@ */
#include "@name@.h"

@tables@

static void open_stretch(void *model)
{
    @name@_state_t *state = model;
    mh_breaths_init(&state->breaths, state->turn_values, state->turn_positions);
}

static void describe(void *model, const mh_candidate_t *candidate, uint32_t first, uint32_t newest, uint32_t limit,
                     int16_t *potentials, int8_t *shifts)
{
    @name@_state_t *state = model;
    const mh_signal_t *signal = &state->pipeline.signal;
    mh_codes_state_t codes = {state->work, state->window, state->found};
    mh_emission_state_t emission = {state->hidden_first, state->hidden_second};
    uint32_t count;
    (void)limit;
    mh_breaths_note(&state->breaths, &@name@_breaths, signal, candidate->position);
    mh_breaths_describe(&state->breaths, &@name@_breaths, candidate->scale_q8, state->dense);
    count = mh_codes_push(&codes, &@name@_codes, signal, first, newest + 1u, candidate->position, candidate->scale_q8,
                          NULL);
    mh_emission_push(&emission, &@name@_emission, state->dense, state->found, count, potentials, shifts);
}

static void settle(void *model, const mh_event_t *event)
{
    @name@_state_t *state = model;
    if (event != NULL) {
        mh_phases_push(&state->phases, &@name@_phases, event);
    } else {
        mh_phases_flush(&state->phases, &@name@_phases);
    }
}

static int settled(void *model, mh_event_t *event)
{
    @name@_state_t *state = model;
    return mh_phases_pop(&state->phases, event);
}

@pipeline@
