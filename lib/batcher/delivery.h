/*
 * Delivers batches in one of three ways, and marks them when they count as
 * processed:
 *
 *	stdout		when the batch was written
 *	stdout, acks	when its checkpoint came back through the ack channel
 *	handler		when the command has processed it (handler.h)
 */
#ifndef DELIVERY_H
#define DELIVERY_H

#include "base/fdio.h"
#include "batcher/retry.h"
#include "stream/ack.h"

#define DELIVERY_UNACKED 4 /* batches of a source, at most */

/* A batch that was written and is not acknowledged yet. */
struct delivery_sent {
	struct view source;
	struct batch_mark mark;
};

/* Zero-initialise, then set the members from `session` to `once`. */
struct delivery {
	struct cursor_session *session; /* takes the marks */
	struct prefetch *prefetch;      /* its queue holds the batches */
	struct handler handler;         /* argv NULL: stdout */
	struct retry retry;             /* set the limits only */
	const char *ack;                /* path of the channel; NULL: none */
	bool once;                      /* the stream will end */

	/* private */
	struct fdio_out out;
	struct ack_channel acks;
	struct ack_window window;
	struct delivery_sent sent[ACK_WINDOW]; /* parallel to window.sent */
	size_t turn;                           /* batches in this turn */
	bool heard;                            /* a batch was acknowledged */
};

/* Opens the ack channel and takes stdout over.  Returns an exit code. */
int delivery_open(struct delivery *d);

/* Starts the handler's guard.  If we are killed, it holds the locks of the
 * session, which must be open, until the handler is gone. */
int delivery_start(struct delivery *d);

/* Returns an exit code: stdout may fail when it is closed. */
int delivery_close(struct delivery *d);

/* A source's turn begins: counts its batches from 0. */
void delivery_turn(struct delivery *d);

/*
 * Delivers the batch, which is at the head of the prefetch's queue.  *done: it
 * is processed, or will be when its ack comes; else a stop was requested first.
 * source must last until delivery_settle.
 */
int delivery_batch(
    struct delivery *d, struct view source, const struct batch *b, bool *done);

/*
 * Waits until all batches are processed and marked.  With `end` it closes
 * stdout first: a consumer may send its acks only at the end of its input.
 */
int delivery_settle(struct delivery *d, bool end);

/* Waits for wait_ms, handling acks.  Fails if the consumer has exited. */
int delivery_idle(struct delivery *d, int64_t wait_ms);

#endif
