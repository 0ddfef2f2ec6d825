static const mh_describer_t @name@_describer = {
@callbacks@
};

static const mh_pipeline_table_t @name@_pipeline = {
    .describer = &@name@_describer,
    .quality = &@name@_quality,
    .scale = &@name@_scale,
    .segment = &@name@_segment,
    .decoder = &@name@_decoder,
    .lookahead = @lookahead@,
    .warm_up = @warm_up@,
    .resume = @resume@,
    .n_queue = @n_queue@,
    .n_of_gap = @n_of_gap@,
    .n_a_step = @n_a_step@,
    .hurry = @hurry@,
    .unusable = @NAME@_UNUSABLE,
};

const char *const @name@_labels[@NAME@_LABELS] = {@label_texts@};

mh_status_t @name@_start(@name@_state_t *state, uint32_t version, size_t size)
{
    if (state == NULL) { return MH_ERR_NULL; }
    if (version != MH_ABI_VERSION || size != sizeof *state) { return MH_ERR_VERSION; }
    const mh_pipeline_buffers_t buffers = {
        .samples = state->samples,
        .bad = state->bad,
        .clipped = state->clipped,
        .quality_flags = state->quality_flags,
        .quality_floors = state->quality_floors,
        .quality_peaks = state->quality_peaks,
        .scale_blocks = state->scale_blocks,
        .segment_groups = state->segment_groups,
        .segment_splits = state->segment_splits,
        .decoder = MH_DECODER_BUFFERS(&state->decoder),
        .gaps = state->gaps,
        .scales = @scales@,
        .potentials = state->potentials,
        .shifts = state->shifts,
    };
    mh_pipeline_init(&state->pipeline, &@name@_pipeline, &buffers, @history@u);
@begin@    return MH_OK;
}

mh_status_t @name@_step(@name@_state_t *state, int32_t sample, mh_event_t *event)
{
    if (state == NULL || event == NULL) { return MH_ERR_NULL; }
    return mh_pipeline_step(&state->pipeline, &@name@_pipeline, state, sample, event);
}

mh_status_t @name@_flush(@name@_state_t *state, mh_event_t *event)
{
    if (state == NULL || event == NULL) { return MH_ERR_NULL; }
    return mh_pipeline_flush(&state->pipeline, &@name@_pipeline, state, event);
}
