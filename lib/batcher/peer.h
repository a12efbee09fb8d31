/*
 * A peer: a program that gets batches, a checkpoint after each, and
 * acknowledges them (philotes-stream(5)).  It reads our stdout, or is a served
 * handler.  A batch is marked as processed when its ack comes.
 */
#ifndef PEER_H
#define PEER_H

#include "base/fdio.h"
#include "batcher/cursor.h"
#include "stream/ack.h"

/* A batch that was sent, or is being sent, and is not acknowledged. */
struct peer_batch {
	struct view source;
	struct batch_mark mark;
	int64_t first_id; /* of its first event */
	bool marks;       /* its ack marks it */
};

/* Zero-initialise, then set session and open acks. */
struct peer {
	struct cursor_session *session; /* takes the marks */
	struct ack_channel acks;
	struct ack_window window;
	bool heard;    /* a batch was acknowledged */
	int64_t since; /* clock_ms of the last ack, or of the first batch that
			* waits for one */

	/* private */
	struct peer_batch sent[ACK_WINDOW]; /* parallel to window.sent */
	bool sending;
	size_t queued; /* bytes of the batch that is being sent */
};

/* The next batch is to be sent; the window must not be full.  source must last
 * until it is acknowledged. */
void peer_begin(struct peer *p, const struct peer_batch *b);

/* Queues the next piece of the batch, at last the checkpoint; false if there
 * was no more. */
bool peer_queue(struct peer *p, struct fdio_out *out,
    const struct batch_queue *q, const struct batch *b);

/* The batch that peer_begin began will not be sent to its end. */
void peer_abandon(struct peer *p);

/* Is a batch not acknowledged?  *oldest is the first of them, if there is one;
 * it may be NULL. */
bool peer_waits(const struct peer *p, struct peer_batch *oldest);

/*
 * Reads the acks that have come, and marks their batches.  At the end of the
 * channel acks.eof is set.  Returns an exit code: EXIT_PROTOCOL for an ack of
 * what was not sent.
 */
int peer_read_acks(struct peer *p);

/* Forgets the batches that are not acknowledged: another program takes the
 * place of this one.  What was acknowledged stays known. */
void peer_forget(struct peer *p);

#endif
