/*
 * The three ways of a batch to the consumer, and what counts as processed: it
 * was wholly written to stdout, or its checkpoint came back through the ack
 * channel, or the handler said so.  What is processed is marked here.
 */
#ifndef DELIVERY_H
#define DELIVERY_H

#include "base/fdio.h"
#include "batcher/retry.h"
#include "stream/ack.h"

#define DELIVERY_UNACKED 4 /* batches of a source at the most */

/* Written, and on its way to be acknowledged. */
struct delivery_sent {
	struct view source;
	struct batch_mark mark;
};

/* Zero-initialise; set ack, once and attempts. */
struct delivery {
	const char *ack;       /* path of the channel; NULL: none */
	bool once;             /* the stream ends by itself */
	struct retry attempts; /* handler.argv NULL: stdout */

	/* private */
	struct fdio_out out;
	struct ack_channel acks;
	struct ack_window window;
	struct delivery_sent sent[ACK_WINDOW]; /* beside those of the window */
	size_t turn;                           /* batches since it began */
	bool heard;                            /* a batch was acknowledged */
};

/* Opens the channel and takes stdout over.  Returns an exit code. */
int delivery_open(struct delivery *d);

/* An error of closing stdout is one of writing it. */
int delivery_close(struct delivery *d);

/* A turn begins: what was sent before is of other sources. */
void delivery_turn(struct delivery *d);

/*
 * Delivers the batch at the head of the ahead's queue.  *done: it is processed,
 * or on its way to be; else a stop came between.  source lasts until that is
 * settled.
 */
int delivery_batch(
    struct delivery *d, struct view source, const struct batch *b, bool *done);

/*
 * Waits until all batches are processed and marked.  At the end of the stream
 * stdout is closed first, since a consumer may hold its acks back until it sees
 * that.
 */
int delivery_settle(struct delivery *d, bool end);

/* Waits so long; a consumer that goes away is an error. */
int delivery_idle(struct delivery *d, int64_t wait_ms);

#endif
