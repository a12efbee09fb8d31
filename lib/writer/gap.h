/*
 * The gap check: may a stream with this start line be appended to what the
 * buffer has of its source, or are changes missing in between?
 */
#ifndef GAP_H
#define GAP_H

#include "buffer/store.h"
#include "stream/event.h"

/* Returns EXIT_DONE if there is no gap, else EXIT_OPERATOR. */
int gap_look(const struct store_state *state, const struct stream_start *start);

/*
 * The same before writing: records the first start of a source, and a gap if
 * the caller accepts it.  Updates *state to what is stored then.
 */
int gap_check(struct pg *pg, const struct stream_start *start, bool accept,
    struct store_state *state);

#endif
