/* @title@

   @banner@
   Research software, no medical device.

       static @name@_state_t state;
       mh_event_t event;
       @name@_init(&state);
       for each sample, @rate@ times a second:
           @name@_step(&state, sample, &event);
           if (event.label != MH_NO_EVENT) { ... @name@_labels[event.label], event.onset, event.peak, event.offset ... }

   A sample is a whole number of the converter's units: any gain will do that gives a wave 50 units or more, up to the
   16 bits beyond which samples are clipped and the event is flagged; MH_MISSING stands for one that is not there. A
   state belongs to one lead, refers to itself, and must not be moved; there may be any number of them. */
#ifndef @NAME@_H
#define @NAME@_H

@includes@

#ifdef __cplusplus
extern "C" {
#endif

#define @NAME@_RATE @rate@ /* samples a second: those of the model, and no others */
#define @NAME@_STATE_SIZE sizeof(@name@_state_t)

/* Labels of events; @NAME@_UNUSABLE is a part that cannot be labelled: flat, saturated, lead off, noise. */
@labels@
#define @NAME@_LABELS @n_labels@
extern const char *const @name@_labels[@NAME@_LABELS];

typedef struct {
    mh_pipeline_state_t pipeline;
@members@
} @name@_state_t;

/* Start a lead: MH_ERR_NULL without a state, MH_ERR_VERSION where this header and the code are of different exports. */
mh_status_t @name@_start(@name@_state_t *state, uint32_t version, size_t size);
static inline mh_status_t @name@_init(@name@_state_t *state)
{
    return @name@_start(state, MH_ABI_VERSION, @NAME@_STATE_SIZE);
}

/* Take a sample. `event` becomes what is certain now, at most one wave or unusable part; mostly nothing is, and its label
   MH_NO_EVENT. MH_ERR_NULL without a pointer, MH_ERR_VERSION if the state was not initialised, MH_ERR_ENDED after
   @name@_flush. */
mh_status_t @name@_step(@name@_state_t *state, int32_t sample, mh_event_t *event);

/* End the lead and hand out what is left, an event a call until one with the label MH_NO_EVENT. */
mh_status_t @name@_flush(@name@_state_t *state, mh_event_t *event);

#ifdef __cplusplus
}
#endif

#endif
