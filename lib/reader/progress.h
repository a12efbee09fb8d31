/*
 * How far reading has come, and when it is worth a checkpoint.
 *
 *	received   the server has sent everything up to here
 *	complete   everything up to here is in the output: the end of the last
 *	           transaction, or a keepalive's position between transactions
 *	checkpoint the last `complete` that went out as a checkpoint line
 *	durable    the last checkpoint that was acknowledged, which is what the
 *	           slot is told
 *
 * None of them ever goes back.  A keepalive's position takes the same way as a
 * transaction's end, so it is confirmed only after all that went out before it.
 * Times are those of clock_ms.
 */
#ifndef PROGRESS_H
#define PROGRESS_H

#include "stream/ack.h"

/* Zero-initialise; without progress_start there are no checkpoints, and
 * nothing is ever durable. */
struct progress {
	uint64_t received, complete, checkpoint, durable;
	struct ack_window window;
	bool acked;  /* somebody acknowledges */
	bool events; /* there are some since the last checkpoint */
	int64_t checkpoint_at;
};

/* Reading begins at lsn, all before it being durable. */
void progress_start(struct progress *p, uint64_t lsn, int64_t now);

void progress_receive(struct progress *p, uint64_t lsn);
void progress_complete(struct progress *p, uint64_t lsn);

/* Is there a position to send, now or later? */
bool progress_waits(const struct progress *p);

/*
 * Is it to be sent now?  dry: the server has sent no more than this; asked: it
 * waits for a report of ours.
 */
bool progress_due(const struct progress *p, int64_t now, bool dry, bool asked);

/* When it will be due if nothing happens until then. */
int64_t progress_due_at(const struct progress *p);

/* Takes note that `complete` goes out as a checkpoint. */
void progress_sent(struct progress *p, int64_t now);

/* Has all that is complete been acknowledged?  True if nobody does that. */
bool progress_settled(const struct progress *p);

/* A position that was acknowledged. */
enum ack_status progress_acknowledge(struct progress *p, uint64_t lsn);

#endif
