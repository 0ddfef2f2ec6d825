#include "mh_fast.h"

#include "mh_pipeline.h"

/* What a state begins with, so that memory that nobody has initialised is told from one. */
#define MARK (0x6d680000u | MH_ABI_VERSION)

/* Once a stretch has ended, so many scales are taken instead of one candidate. */
#define AT_ONCE 4u

/* Label of what takes the place of an event while none can be taken. */
#define TAKEN (MH_NO_EVENT - 1u)

/* No stretch; one that goes on; one that has ended and is not finished. */
enum { IDLE, RUNNING, ENDING };

void mh_pipeline_init(mh_pipeline_state_t *state, const mh_pipeline_table_t *table,
                      const mh_pipeline_buffers_t *buffers, uint32_t history)
{
    uint32_t n;
    state->version = MARK;
    state->signal.samples = buffers->samples;
    state->signal.mask = history - 1u;
    mh_quality_init(&state->quality, table->quality, buffers->quality_flags, buffers->quality_floors,
                    buffers->quality_peaks);
    mh_scale_init(&state->scale, table->scale, buffers->scale_blocks);
    mh_segment_init(&state->segment, table->segment, buffers->segment_groups, buffers->segment_splits);
    mh_decoder_init(&state->decoder, buffers->decoder);
    state->bad = buffers->bad;
    state->clipped = buffers->clipped;
    state->gaps = buffers->gaps;
    state->scales = buffers->scales;
    state->potentials = buffers->potentials;
    state->shifts = buffers->shifts;
    state->position = state->judged = state->front = 0;
    state->start = state->n_samples = 0;
    state->bad_since = state->clipped_before = 0;
    state->wait = state->first = state->n_waiting = 0;
    state->n_marked = 0;
    for (n = 0; n < MH_PIPELINE_BITS(history); n++) { state->bad[n] = state->clipped[n] = 0; }
    state->phase = IDLE;
    state->is_bad = state->is_clipped = state->is_decoding = state->is_drained = state->ended = state->is_settled = 0;
}

static void mark(const mh_pipeline_state_t *state, uint8_t *bits, uint32_t n, int value)
{
    uint8_t *byte = &bits[(n & state->signal.mask) >> 3];
    const uint32_t bit = 1u << (n & 7u);
    *byte = (uint8_t)(value ? *byte | bit : *byte & ~bit);
}

static int is_marked(const mh_pipeline_state_t *state, const uint8_t *bits, uint32_t n)
{
    return (bits[(n & state->signal.mask) >> 3] >> (n & 7u)) & 1;
}

/* Remember that a sample is not usable, or was clipped: until it has left the ring, marks are looked at. */
static void set_mark(mh_pipeline_state_t *state, uint8_t *bits, uint32_t n)
{
    mark(state, bits, n, 1);
    state->n_marked = (uint16_t)(state->signal.mask + 1u);
}

/* Take what is said of the quality of the next sample, if anything is. */
static void judge(mh_pipeline_state_t *state, uint8_t code)
{
    if (code == MH_NO_CODE) { return; }
    if (code != MH_USABLE) { set_mark(state, state->bad, state->judged); }
    state->judged++;
}

static void start_stretch(mh_pipeline_state_t *state, const mh_pipeline_table_t *table, void *model)
{
    state->phase = RUNNING;
    state->start = state->position;
    state->n_samples = 0;
    state->proposed = state->described = 0;
    state->is_drained = 0;
    mh_scale_init(&state->scale, table->scale, state->scale.blocks);
    mh_segment_init(&state->segment, table->segment, state->segment.groups, state->segment.splits);
    mh_decoder_init(&state->decoder, state->decoder.at);
    table->describer->open(model);
}

static void end_stretch(mh_pipeline_state_t *state, const mh_pipeline_table_t *table, void *model)
{
    state->phase = ENDING;
    state->wait = table->resume;
    mh_scale_end(&state->scale, table->scale);
    mh_segment_end(&state->segment, state->n_samples);
    if (table->describer->close != NULL) { table->describer->close(model, state->n_samples - 1u); }
}

/* Take a sample: into the judgement of quality, and into the stretch. What a lead that is off says is missing. */
static void take(mh_pipeline_state_t *state, const mh_pipeline_table_t *table, void *model, int32_t sample)
{
    const int32_t value = sample == MH_MISSING ? sample : mh_to_int16(sample);
    const uint8_t code = mh_quality_push(&state->quality, table->quality, value);
    const int is_missing = sample == MH_MISSING || (state->quality.is_flat && table->quality->flat_is_off);
    if (state->wait > 0) { state->wait--; }
    if (is_missing && state->phase == RUNNING) { end_stretch(state, table, model); }
    if (!is_missing && state->phase == IDLE && state->wait == 0) { start_stretch(state, table, model); }
    if (state->n_marked > 0) { /* forget the marks of the sample whose place this one takes */
        state->n_marked--;
        if (state->position > state->signal.mask && is_marked(state, state->clipped, state->position)) {
            state->clipped_before = state->position - state->signal.mask; /* one more than where it was */
        }
        mark(state, state->bad, state->position, 0);
        mark(state, state->clipped, state->position, 0);
    }
    if (state->phase != RUNNING) { set_mark(state, state->bad, state->position); }
    if (value != sample) { set_mark(state, state->clipped, state->position); }
    if (state->phase == RUNNING) {
        state->signal.samples[state->n_samples & state->signal.mask] = (int16_t)value;
        mh_scale_push(&state->scale, table->scale, (int16_t)value);
        if (table->describer->take != NULL) { table->describer->take(model, state->n_samples); }
        state->n_samples++;
    }
    state->position++;
    judge(state, code);
}

/* Take the scale of the next sample, if it is known and the candidates that follow find room; returns whether. */
static int propose(mh_pipeline_state_t *state, const mh_pipeline_table_t *table, void *model)
{
    mh_scale_value_t value;
    mh_candidate_t candidate;
    if ((uint32_t)state->n_waiting + table->n_of_gap > table->n_queue) { return 0; }
    if (!mh_scale_next(&state->scale, table->scale, &value)) {
        if (state->phase == ENDING) { state->is_drained = table->describer->drain == NULL || !table->describer->drain(model); }
        return state->phase == ENDING && !state->is_drained;
    }
    if (table->describer->measure != NULL) { table->describer->measure(model, value.scale_q8); }
    mh_segment_push(&state->segment, table->segment, &state->signal, value);
    while (mh_segment_next(&state->segment, table->segment, &state->signal, &candidate)) {
        uint32_t place = (uint32_t)state->first + state->n_waiting;
        if (state->n_waiting == table->n_queue) { continue; } /* cannot be: the gap has room */
        if (place >= table->n_queue) { place -= table->n_queue; }
        state->gaps[place] = (uint8_t)(candidate.position - state->proposed);
        if (state->scales != NULL) { state->scales[place] = candidate.scale_q8; }
        state->proposed = candidate.position;
        state->n_waiting++;
    }
    return 1;
}

/* Whether waves are to be handed out before the decoder takes anything more, lest it lose them. */
static int is_holding(const mh_pipeline_state_t *state) { return state->decoder.popped > state->decoder.root; }

/* Whether one of the samples start to stop - 1 was clipped, of which the last are in the ring. */
static int was_clipped(const mh_pipeline_state_t *state, uint32_t start, uint32_t stop)
{
    const uint32_t n_kept = state->signal.mask + 1u;
    if (state->clipped_before != 0 && (int32_t)(state->clipped_before - start) > 0) { return 1; }
    if (state->n_marked == 0) { return 0; }
    if (state->position - start > n_kept) { start = state->position - n_kept; }
    for (; (int32_t)(stop - start) > 0; start++) {
        if (is_marked(state, state->clipped, start)) { return 1; }
    }
    return 0;
}

/* Hand out the next wave that is certain, unless there is an event already. */
static void pop(mh_pipeline_state_t *state, const mh_pipeline_table_t *table, mh_event_t *event)
{
    if (event->label != MH_NO_EVENT || !is_holding(state) ||
        !mh_decoder_pop(&state->decoder, table->decoder, &state->signal, state->n_samples - 1u, event)) {
        return;
    }
    event->onset += state->start;
    event->offset += state->start;
    if (event->peak != MH_NO_PEAK) { event->peak += state->start; }
    if (was_clipped(state, event->onset, event->offset)) { event->flags |= MH_EVENT_CLIPPED; }
}

/* Hand out the unusable part that stops before the front. */
static void report_unusable(mh_pipeline_state_t *state, const mh_pipeline_table_t *table, mh_event_t *event)
{
    event->label = table->unusable;
    event->flags = state->is_clipped ? MH_EVENT_CLIPPED : 0;
    event->onset = state->bad_since;
    event->peak = MH_NO_PEAK;
    event->offset = state->front;
    state->is_bad = 0;
}

static void stop_decoding(mh_pipeline_state_t *state, const mh_pipeline_table_t *table)
{
    if (state->is_decoding) { mh_decoder_close(&state->decoder, table->decoder, state->front - state->start); }
    state->is_decoding = 0;
}

/* Move the front up to a sample: tell the decoder where usable parts start and stop. What is to be handed out before
   holds it up. */
static void advance(mh_pipeline_state_t *state, const mh_pipeline_table_t *table, uint32_t to, mh_event_t *event)
{
    while (state->front != to) {
        const int bad = is_marked(state, state->bad, state->front);
        if (bad && !state->is_bad) {
            if (is_holding(state)) { return; }
            stop_decoding(state, table);
            state->is_bad = 1;
            state->is_clipped = 0;
            state->bad_since = state->front;
        } else if (!bad && !state->is_decoding) {
            if (state->is_bad) {
                pop(state, table, event);
                if (event->label != MH_NO_EVENT) { return; }
                report_unusable(state, table, event);
            }
            mh_decoder_open(&state->decoder, table->decoder, state->front - state->start);
            state->is_decoding = 1;
        }
        if (bad && is_marked(state, state->clipped, state->front)) { state->is_clipped = 1; }
        state->front++;
    }
}

/* Where the first candidate of the queue lies. */
static uint32_t position_of_first(const mh_pipeline_state_t *state)
{
    return state->described + state->gaps[state->first];
}

/* The last sample that the first candidate of the queue may know of; the stretch may end before. */
static uint32_t limit_of_first(const mh_pipeline_state_t *state, const mh_pipeline_table_t *table)
{
    const uint32_t limit = position_of_first(state) + table->lookahead;
    return limit < table->warm_up ? table->warm_up : limit;
}

/* Whether the first candidate of the queue can be described now. */
static int is_ready(const mh_pipeline_state_t *state, const mh_pipeline_table_t *table, const void *model)
{
    uint32_t position, limit;
    if (state->n_waiting == 0 || is_holding(state)) { return 0; }
    position = position_of_first(state);
    if ((int32_t)(state->start + position - state->judged) >= 0) { return 0; }
    limit = limit_of_first(state, table);
    if (limit >= state->n_samples) {
        if (state->phase == RUNNING) { return 0; }
        limit = state->n_samples - 1u;
    }
    return table->describer->ready == NULL || table->describer->ready(model, position, limit);
}

/* Describe the first candidate of the queue and show it to the decoder; returns 0 if events are to be handed out
   before. */
static int describe(mh_pipeline_state_t *state, const mh_pipeline_table_t *table, void *model, mh_event_t *event)
{
    const mh_candidate_t candidate = {
        position_of_first(state),
        state->scales != NULL ? state->scales[state->first] : 0,
    };
    const uint32_t history = state->signal.mask + 1u, n = state->n_samples, at = state->start + candidate.position;
    const uint32_t limit = limit_of_first(state, table);
    advance(state, table, at, event);
    if (state->front != at) { return 0; }
    table->describer->describe(model, &candidate, n > history ? n - history : 0u, n - 1u, limit < n ? limit : n - 1u,
                               state->potentials, state->shifts);
    if (state->is_decoding && (state->n_marked == 0 || !is_marked(state, state->bad, at))) {
        mh_decoder_push(&state->decoder, table->decoder, candidate.position, state->potentials, state->shifts);
    }
    state->described = candidate.position;
    state->first = (uint16_t)(state->first + 1u == table->n_queue ? 0u : state->first + 1u);
    state->n_waiting--;
    return 1;
}

/* Do a step's share of what a stretch that goes on asks for. */
static void go_on(mh_pipeline_state_t *state, const mh_pipeline_table_t *table, void *model, mh_event_t *event)
{
    uint32_t left = table->n_a_step;
    /* In most steps there is one scale; the check spares the call that says so. */
    while (state->scale.n_waiting > table->scale->ahead && propose(state, table, model)) {}
    for (; left > 0 && is_ready(state, table, model) && describe(state, table, model, event); left--) {}
}

/* Do a step's share of what is left of a stretch. What can be described is, before anything else moves on. */
static void finish(mh_pipeline_state_t *state, const mh_pipeline_table_t *table, void *model, mh_event_t *event)
{
    uint32_t left = (uint32_t)table->hurry * table->n_a_step;
    for (; left > 0; left--) {
        uint32_t k;
        if (is_ready(state, table, model)) {
            if (!describe(state, table, model, event)) { return; }
            continue;
        }
        for (k = 0; k < AT_ONCE && !is_ready(state, table, model) && propose(state, table, model); k++) {}
        if (k == 0) { return; }
    }
}

/* What one step does beside taking its sample. */
static void work(mh_pipeline_state_t *state, const mh_pipeline_table_t *table, void *model, mh_event_t *event)
{
    uint32_t to = state->judged;
    if (is_holding(state)) { pop(state, table, event); }
    if (state->phase != IDLE) {
        uint32_t open;
        if (state->phase == RUNNING) {
            go_on(state, table, model, event);
        } else {
            finish(state, table, model, event);
        }
        open = state->start + (state->n_waiting > 0 ? position_of_first(state)
                               : state->is_drained  ? state->n_samples
                                                    : mh_segment_decided(&state->segment));
        if ((int32_t)(open - to) < 0) { to = open; }
    }
    if ((int32_t)(to - state->front) > 0) {
        if (state->n_marked == 0 && state->is_decoding) { /* as mostly, nothing starts or stops */
            state->front = to;
        } else {
            advance(state, table, to, event);
        }
    }
    if (state->phase == ENDING && state->is_drained && state->front == state->start + state->n_samples) {
        state->phase = IDLE;
    }
}

mh_status_t mh_pipeline_step(mh_pipeline_state_t *state, const mh_pipeline_table_t *table, void *model, int32_t sample,
                             mh_event_t *event)
{
    const mh_describer_t *describer = table->describer;
    if (state->version != MARK) { return MH_ERR_VERSION; }
    if (state->ended) { return MH_ERR_ENDED; }
    event->label = MH_NO_EVENT;
    take(state, table, model, sample);
    if (!MH_WITH_SETTLING || describer->settle == NULL) {
        work(state, table, model, event);
    } else {
        mh_event_t inner;
        inner.label = describer->settled(model, event) ? TAKEN : MH_NO_EVENT;
        work(state, table, model, &inner);
        if (inner.label < TAKEN) {
            describer->settle(model, &inner);
            (void)describer->settled(model, event);
        }
    }
    return MH_OK;
}

/* Hand out the next event of a lead that has ended. */
static void finish_lead(mh_pipeline_state_t *state, const mh_pipeline_table_t *table, void *model, mh_event_t *event)
{
    event->label = MH_NO_EVENT;
    while (event->label == MH_NO_EVENT && (state->phase != IDLE || state->front != state->position)) {
        work(state, table, model, event);
    }
    pop(state, table, event);
    if (event->label != MH_NO_EVENT) { return; }
    stop_decoding(state, table);
    pop(state, table, event);
    if (event->label == MH_NO_EVENT && state->is_bad) { report_unusable(state, table, event); }
}

mh_status_t mh_pipeline_flush(mh_pipeline_state_t *state, const mh_pipeline_table_t *table, void *model,
                              mh_event_t *event)
{
    const mh_describer_t *describer = table->describer;
    if (state->version != MARK) { return MH_ERR_VERSION; }
    event->label = MH_NO_EVENT;
    if (!state->ended) {
        uint8_t code;
        state->ended = 1;
        if (state->phase == RUNNING) { end_stretch(state, table, model); }
        while ((code = mh_quality_drain(&state->quality, table->quality)) != MH_NO_CODE) { judge(state, code); }
    }
    if (!MH_WITH_SETTLING || describer->settle == NULL) {
        finish_lead(state, table, model, event);
        return MH_OK;
    }
    while (!describer->settled(model, event) && !state->is_settled) {
        mh_event_t inner;
        finish_lead(state, table, model, &inner);
        state->is_settled = inner.label == MH_NO_EVENT;
        describer->settle(model, state->is_settled ? NULL : &inner);
    }
    return MH_OK;
}
