#include "mh_decoder_phases.h"

static int is_long_pause(const mh_phases_table_t *table, const mh_event_t *event)
{
    return event->label == table->pause && event->offset - event->onset >= table->shortest_pause;
}

static void finish(mh_phases_state_t *state, const mh_event_t *event)
{
    if (state->n_done < MH_PHASES_DONE) { state->done[state->n_done++] = *event; }
}

static void join(mh_event_t *first, const mh_event_t *second)
{
    first->offset = second->offset;
    first->flags |= second->flags;
}

/* Hand on the first n events held: short pauses belong to the phase before; without one they go. */
static void settle(mh_phases_state_t *state, const mh_phases_table_t *table, uint32_t n)
{
    const uint32_t first = state->n_done;
    uint32_t k;
    for (k = 0; k < n; ++k) {
        const mh_event_t *event = &state->held[k];
        mh_event_t *before = state->n_done > first ? &state->done[state->n_done - 1u] : NULL;
        const int expires = event->label == table->expiration;
        if (before != NULL && expires && before->label == table->expiration) {
            join(before, event);
        } else if (expires || is_long_pause(table, event)) {
            finish(state, event);
        } else if (before != NULL) {
            join(before, event);
        }
    }
    for (k = n; k < state->n_held; ++k) { state->held[k - n] = state->held[k]; }
    state->n_held = (uint8_t)(state->n_held - n);
}

void mh_phases_init(mh_phases_state_t *state)
{
    state->last_offset = 0;
    state->n_held = state->n_done = state->n_popped = state->follows = 0;
}

void mh_phases_push(mh_phases_state_t *state, const mh_phases_table_t *table, const mh_event_t *event)
{
    mh_event_t phase = *event;
    const int32_t late = (int32_t)(event->onset - state->last_offset);
    const int inspires = event->label == table->inspiration;
    if (!inspires && event->label != table->expiration && event->label != table->pause) {
        finish(state, event);
        state->follows = 0;
        return;
    }
    if (state->follows && late <= table->farthest && -late <= table->farthest) {
        phase.onset = state->last_offset;
        if ((int32_t)(phase.offset - phase.onset) <= 0) { return; }
    }
    state->last_offset = phase.offset;
    state->follows = 1;
    if (state->n_held > 0 && (inspires || state->held[state->n_held - 1u].offset != phase.onset)) {
        settle(state, table, state->n_held);
    }
    if (inspires) {
        phase.peak = phase.offset;
        finish(state, &phase);
        return;
    }
    if (state->n_held > 0 && state->held[state->n_held - 1u].label == phase.label) {
        join(&state->held[state->n_held - 1u], &phase);
    } else {
        if (state->n_held == MH_PHASES_HELD) { settle(state, table, state->n_held); }
        phase.peak = MH_NO_PEAK;
        state->held[state->n_held++] = phase;
    }
    if (is_long_pause(table, &state->held[state->n_held - 1u])) { settle(state, table, state->n_held - 1u); }
}

void mh_phases_flush(mh_phases_state_t *state, const mh_phases_table_t *table)
{
    settle(state, table, state->n_held);
}

int mh_phases_pop(mh_phases_state_t *state, mh_event_t *event)
{
    if (state->n_popped == state->n_done) {
        state->n_popped = state->n_done = 0;
        return 0;
    }
    *event = state->done[state->n_popped++];
    return 1;
}
