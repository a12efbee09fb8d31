/*
 * A handler's attempts at a batch, and what is done when they fail: tried
 * again, then given up or, for dead letters, taken apart until the events that
 * fail stand alone.
 */
#ifndef RETRY_H
#define RETRY_H

#include "batcher/cursor.h"
#include "batcher/handler.h"

struct retry {
	struct handler handler;
	uint64_t retries;     /* of a batch, before that */
	bool dead_letters;    /* take it apart */
	uint64_t max_letters; /* open ones of the consumer */
	struct cursor_session *session;
	struct prefetch *ahead;
	bool failing; /* a row of cdc_retries says that it does */
};

/*
 * Has the batch, at the head of the ahead's queue, processed, and marks it.
 * *done stays false if a stop came between: it is the next one's then.
 * EXIT_OPERATOR if it fails for good, EXIT_CONFIG if the handler cannot be
 * run.
 */
int retry_process(
    struct retry *a, struct view source, const struct batch *b, bool *done);

#endif
