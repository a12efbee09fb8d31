/*
 * The three ways of a batch to the consumer, and what counts as processed: it
 * was wholly written to stdout, or its checkpoint came back through the ack
 * channel, or the handler said so.  What is processed is marked here.
 */
#ifndef DELIVERY_H
#define DELIVERY_H

#include "ack.h"
#include "attempts.h"
#include "fdio.h"

#define DELIVERY_UNACKED 4 /* batches of a source at the most */

/* Zero-initialise; set ack and attempts. */
struct delivery {
	const char *ack;          /* path of the channel; NULL: none */
	struct attempts attempts; /* handler.argv NULL: stdout */

	/* private */
	struct fdio_out out;
	struct ack_channel acks;
	struct ack_window window;
	struct batch_mark unacked[DELIVERY_UNACKED]; /* oldest first */
};

/* Opens the channel and takes stdout over.  Returns an exit code. */
int delivery_open(struct delivery *d);

/* An error of closing stdout is one of writing it. */
int delivery_close(struct delivery *d);

/*
 * Delivers the batch at the head of the ahead's queue.  *done: it is processed,
 * or on its way to be; else a stop came between.
 */
int delivery_batch(
    struct delivery *d, struct view source, const struct batch *b, bool *done);

/*
 * Waits until all batches of the source are processed and marked.  At the end
 * of the stream stdout is closed first, since a consumer may hold its acks back
 * until it sees that.
 */
int delivery_settle(struct delivery *d, struct view source, bool end);

/* Waits so long; a consumer that goes away is an error. */
int delivery_idle(struct delivery *d, int64_t wait_ms);

#endif
