/*
 * A batch's way through the handler: it runs until it succeeds.  If it fails
 * too often, the batch is given up or, with dead_letters, bisected until the
 * events that fail stand alone; those are parked as dead letters.
 */
#ifndef RETRY_H
#define RETRY_H

#include "batcher/cursor.h"
#include "batcher/serve.h"

struct retry {
	uint64_t retries;     /* of a batch, before it is given up */
	bool dead_letters;    /* bisect it instead */
	uint64_t max_letters; /* open dead letters of the consumer, at most */

	/* borrowed; delivery_open sets them */
	const struct handler *handler;
	struct serve *serve; /* if handler->serve */
	struct cursor_session *session;
	struct prefetch *prefetch;
};

/*
 * Has the handler process the batch, which is at the head of the prefetch's
 * queue, and marks it.  *done stays false if a stop was requested first.
 * EXIT_OPERATOR if the handler failed too often, EXIT_CONFIG if it cannot be
 * run.
 */
int retry_process(
    struct retry *r, struct view source, const struct batch *b, bool *done);

/* Records in the buffer that the batch has failed.  EXIT_CONFIG if the handler
 * cannot be run. */
int retry_failed(struct retry *r, struct view source, const struct batch *b,
    const struct handler_result *result);

/* retry_process of a batch that has failed once, with this answer, after a
 * pause. */
int retry_again(struct retry *r, struct view source, const struct batch *b,
    enum handler_answer answer, bool *done);

#endif
