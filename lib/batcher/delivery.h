/*
 * Delivers batches in one of four ways, and marks them when they count as
 * processed:
 *
 *	stdout		when the batch was written
 *	stdout, acks	when its checkpoint came back through the ack channel
 *	handler		when the command has processed it (handler.h)
 *	served handler	when the command has acknowledged it (serve.h)
 */
#ifndef DELIVERY_H
#define DELIVERY_H

#include "base/fdio.h"
#include "batcher/peer.h"
#include "batcher/retry.h"
#include "batcher/serve.h"

/* Zero-initialise, then set the members from `session` to `once`. */
struct delivery {
	struct cursor_session *session; /* takes the marks */
	struct prefetch *prefetch;      /* its queue holds the batches */
	struct handler handler;         /* argv NULL: stdout */
	struct retry retry;             /* set the limits only */
	const char *ack;                /* path of the channel; NULL: none */
	size_t window; /* batches of a source that wait for acks, at most */
	bool once;     /* the stream will end */

	/* private */
	struct fdio_out out;
	struct peer peer;
	struct serve serve;
	const struct cursor *turn; /* the source's place when its turn began */
	size_t batches;            /* in this turn */
};

/* Opens the ack channel and takes stdout over.  Returns an exit code. */
int delivery_open(struct delivery *d);

/* Starts the handler's guard.  If we are killed, it holds the locks of the
 * session, which must be open, until the handler is gone. */
int delivery_start(struct delivery *d);

/* Returns an exit code: stdout may fail when it is closed. */
int delivery_close(struct delivery *d);

/* A source's turn begins.  c must last until delivery_settle. */
void delivery_turn(struct delivery *d, const struct cursor *c);

enum delivery_step {
	DELIVERY_DONE, /* it is processed, or will be when its ack comes */
	/* a batch was delivered anew, or is to be: the prefetch goes on after
	 * the last one that is processed */
	DELIVERY_AGAIN,
	DELIVERY_STOPPED, /* a stop was requested first */
};

/* Delivers the batch, which is at the head of the prefetch's queue.  Returns an
 * exit code. */
int delivery_batch(
    struct delivery *d, const struct batch *b, enum delivery_step *step);

/*
 * Waits until all batches are processed and marked.  *again: a batch has
 * failed meanwhile, and the prefetch goes on as after DELIVERY_AGAIN.
 */
int delivery_settle(struct delivery *d, bool *again);

/* The same at the end of the stream, which it ends first: a consumer may send
 * its acks only at the end of its input. */
int delivery_end(struct delivery *d);

/* Waits for wait_ms, handling acks.  Fails if the consumer has exited. */
int delivery_idle(struct delivery *d, int64_t wait_ms);

#endif
