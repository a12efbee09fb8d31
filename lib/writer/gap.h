/*
 * The gap check: does a stream that starts go on where the buffer ends?
 */
#ifndef GAP_H
#define GAP_H

#include "buffer/store.h"
#include "stream/event.h"

/*
 * Compares start with the state of its source and brings both in line: the
 * first start of a source is recorded, a gap is refused with EXIT_OPERATOR or,
 * if accepted, recorded.  *state is what is stored afterwards.
 */
int gap_check(struct pg *pg, const struct stream_start *start, bool accept,
    struct store_state *state);

#endif
