/* What every exported model shares: status codes and the signal's ring. C99; no heap, no libc, no floating point. */
#ifndef MH_H
#define MH_H

#include <stddef.h>
#include <stdint.h>

/* Of the layout of states and events; a state of another version is refused. */
#define MH_ABI_VERSION 1u

typedef enum {
    MH_OK = 0,
    MH_ERR_NULL,    /* a pointer is NULL */
    MH_ERR_VERSION, /* the state was made by another version, or by nobody */
    MH_ERR_ENDED,   /* the stream was flushed */
    MH_STATUS_COUNT
} mh_status_t;

/* The latest samples, in ADC units: sample n lies at samples[n & mask]. */
typedef struct {
    int16_t *samples;
    uint32_t mask;
} mh_signal_t;

static inline int16_t mh_sample(const mh_signal_t *signal, uint32_t n) { return signal->samples[n & signal->mask]; }

/* What was labelled: samples onset to offset - 1, counted from the first one of the lead. */
typedef struct {
    uint32_t onset;
    uint32_t peak; /* MH_NO_PEAK: it has none */
    uint32_t offset;
    uint8_t label; /* index into the model's labels */
    uint8_t flags; /* of MH_EVENT_... */
} mh_event_t;

#define MH_NO_PEAK UINT32_MAX
#define MH_EVENT_CUT_AT_START 1u /* the stretch of usable signal starts within it */
#define MH_EVENT_CUT_AT_END 2u   /* and ends within it */

#endif
