/*
 * A batch: consecutive events of one source as lines of the stream, limited in
 * number and bytes.
 */
#ifndef BATCH_H
#define BATCH_H

#include "buf.h"
#include "event.h"

/* Zero-initialise; set the limits. */
struct batch {
	uint64_t max_events;
	uint64_t max_bytes;
	struct buf text;
	uint64_t events;
	int64_t first_id; /* of its first and last event */
	int64_t last_id;
};

/*
 * Adds the event unless that goes over a limit; false: it did not fit.  The
 * first event always fits, however large.
 */
bool batch_add(struct batch *b, const struct event *e);

static inline bool
batch_full(const struct batch *b)
{
	return b->events >= b->max_events || b->text.len >= b->max_bytes;
}

/* Empties it; limits and memory stay. */
void batch_clear(struct batch *b);
void batch_release(struct batch *b);

#endif
