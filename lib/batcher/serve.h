/*
 * A served handler: a command that lives longer than a batch.  It is a peer
 * (peer.h): its standard input is the stream with a checkpoint after each
 * batch, its standard output the ack channel.
 *
 *	started		with the first batch, and with the next one after it
 *			has ended
 *	fails		while a batch waits for its ack: by ending, by closing
 *			its standard output, by no ack for the handler's
 *			timeout; the oldest batch that waits has failed then
 *	ended		by the end of its input
 *
 * After a failure no command runs, and none of the batches that wait is known
 * any more.
 */
#ifndef SERVE_H
#define SERVE_H

#include "batcher/handler.h"
#include "batcher/peer.h"

enum serve_state {
	SERVE_GOOD,
	SERVE_FAILED,  /* see result and lost */
	SERVE_STOPPED, /* a stop was requested before the batch was sent */
};

/* Zero-initialise, then set the members from `handler` to `once`. */
struct serve {
	const struct handler *handler;
	struct prefetch *prefetch;
	struct peer *peer;
	size_t window; /* batches that may wait for acks */
	bool once;     /* the input will end */

	/* after SERVE_FAILED */
	struct handler_result result; /* has been logged */
	struct peer_batch lost;       /* the batch that failed */

	/* private */
	struct child child;
	bool failed;
	bool prompt;       /* it acknowledges before its input ends */
	int64_t closed_at; /* clock_ms of the end of its input; 0: open */
	int64_t eof_at;    /* of the end of its stdout; 0: open */
	const char *why;   /* the status if it is killed */
};

/* Before the first call.  Its memory is freed by serve_close. */
void serve_open(struct serve *s);

/*
 * Sends the batch b of the queue q when fewer than `window` batches wait.  Its
 * ack marks it if `marks`.  Returns an exit code: EXIT_PROTOCOL for an ack of
 * what was not sent; then call serve_close.
 */
int serve_send(struct serve *s, struct view source, const struct batch_queue *q,
    const struct batch *b, bool marks, enum serve_state *state);

/*
 * Waits until no batch waits for an ack.  After a stop request it ends the
 * input and gives the command END_MS (serve.c); SERVE_GOOD if all has been
 * acknowledged all the same.
 */
int serve_settle(struct serve *s, enum serve_state *state);

/* serve_send of one batch, and its answer; its ack does not mark it. */
int serve_run(struct serve *s, const struct batch_queue *q,
    const struct batch *b, struct view source, struct handler_result *r);

/* Waits for wait_ms while no batch waits. */
int serve_idle(struct serve *s, int64_t wait_ms);

/* Ends the input, and waits for the end of the command. */
int serve_end(struct serve *s);

/* The same after an error, without a connection. */
void serve_close(struct serve *s);

#endif
