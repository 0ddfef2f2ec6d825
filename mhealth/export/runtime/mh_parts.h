/* What of the runtime a model needs. An export says so in mh_model.h; without that file nothing is left out, as it must
   be where several models share the runtime. */
#ifndef MH_PARTS_H
#define MH_PARTS_H

#ifdef __has_include
#if __has_include("mh_model.h")
#include "mh_model.h"
#endif
#endif

#ifndef MH_WITH_SPEED       /* compilers that are told to save flash save time in files where most of it is spent */
#define MH_WITH_SPEED 1
#endif
#ifndef MH_WITH_SECOND_BEST /* tables of the decoder may be `exact` */
#define MH_WITH_SECOND_BEST 1
#endif
#ifndef MH_WITH_TOPS        /* and have a state that ends in the middle of its top */
#define MH_WITH_TOPS 1
#endif
#ifndef MH_WITH_SETTLING    /* a describer may make something else of events, see mh_pipeline.h */
#define MH_WITH_SETTLING 1
#endif
#ifndef MH_WITH_CODES       /* emissions may read sparse codes */
#define MH_WITH_CODES 1
#endif

#endif
