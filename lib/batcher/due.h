/*
 * When a batch is due: at once if it is full, else flush_interval after its
 * first event was written.
 */
#ifndef DUE_H
#define DUE_H

#include "batcher/cursor.h"

/* What is to be delivered of a source. */
enum due_what {
	DUE_NOTHING,
	DUE_FULL, /* full batches */
	DUE_ALL,  /* an incomplete batch, too */
};

/* Zero-initialise, then set the members from `limits` to `at_once`. */
struct due {
	const struct batch_limits *limits;
	int64_t flush_interval; /* ms */
	bool at_once;           /* do not wait for full batches */

	/* private */
	struct due_wait *waits; /* one per source */
	size_t n;
};

/*
 * Tells which of the events after c are due.  If none is, something is due in
 * *in ms, or earlier if more events come.  Returns an exit code.
 */
int due_look(
    struct due *d, const struct cursor *c, enum due_what *what, int64_t *in);

void due_release(struct due *d);

#endif
