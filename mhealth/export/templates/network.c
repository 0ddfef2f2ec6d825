/* @banner@ */
#include "@name@.h"

@tables@

static void open_stretch(void *model)
{
    @name@_state_t *state = model;
    state->network.layers.memory = state->network_memory;
    state->network.layers.layers = state->network_layers;
    state->network.logits = state->network_logits;
    state->network_is_drained = 0;
    mh_network_init(&state->network, &@name@_network);
}

static void measure(void *model, uint32_t scale_q8)
{
    @name@_state_t *state = model;
    (void)mh_network_push(&state->network, &@name@_network, &state->pipeline.signal, scale_q8);
}

static int drain(void *model)
{
    @name@_state_t *state = model;
    if (!state->network_is_drained) { state->network_is_drained = !mh_network_drain(&state->network, &@name@_network); }
    return !state->network_is_drained;
}

static int ready(const void *model, uint32_t position, uint32_t limit)
{
    const @name@_state_t *state = model;
    (void)limit;
    return state->network_is_drained || mh_network_knows(&state->network, &@name@_network, position);
}

static void describe(void *model, const mh_candidate_t *candidate, uint32_t first, uint32_t newest, uint32_t limit,
                     int16_t *potentials, int8_t *shifts)
{
    @name@_state_t *state = model;
    mh_emission_state_t emission = {state->hidden_first, state->hidden_second};
    (void)first;
    (void)newest;
    (void)limit;
    mh_network_describe(&state->network, &@name@_network, candidate->position, state->dense);
    mh_emission_push(&emission, &@name@_emission, state->dense, NULL, 0, potentials, shifts);
}

@pipeline@
