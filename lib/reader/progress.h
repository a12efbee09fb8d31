/*
 * How far the reader has come, and when a checkpoint is due.
 *
 *	received   the server has sent everything up to here
 *	complete   everything up to here is in the output: the end of the last
 *	           transaction, or of a keepalive between transactions
 *	checkpoint the last `complete` that was sent as a checkpoint line
 *	durable    the last checkpoint that was acknowledged; confirmed to the
 *	           slot
 *
 * No position ever moves back.  A keepalive's position is sent as a checkpoint,
 * as the end of a transaction is, so it is confirmed only after all output
 * before it was acknowledged.  Times are those of clock_ms.
 */
#ifndef PROGRESS_H
#define PROGRESS_H

#include "stream/ack.h"

/* Zero-initialise.  Without progress_start there are no checkpoints, and
 * `durable` stays 0. */
struct progress {
	uint64_t received, complete, checkpoint, durable;
	struct ack_window window;
	bool acked;  /* there are acknowledgements: progress_start was called */
	bool events; /* there were events since the last checkpoint */
	int64_t checkpoint_at;
};

/* The stream begins at lsn; everything before it is durable. */
void progress_start(struct progress *p, uint64_t lsn, int64_t now);

/* The server has sent everything up to lsn; a smaller lsn changes nothing. */
void progress_receive(struct progress *p, uint64_t lsn);

/* Everything up to lsn is in the output; a smaller lsn changes nothing. */
void progress_complete(struct progress *p, uint64_t lsn);

/* Is there a position to send as a checkpoint, now or later? */
bool progress_waits(const struct progress *p);

/*
 * Is a checkpoint due now?  dry: no more data has arrived; asked: the server
 * waits for our feedback.
 */
bool progress_due(const struct progress *p, int64_t now, bool dry, bool asked);

/* When a checkpoint is due if nothing more arrives before. */
int64_t progress_due_at(const struct progress *p);

/* Records that `complete` was sent as a checkpoint. */
void progress_sent(struct progress *p, int64_t now);

/* Has everything complete been acknowledged?  True without acknowledgements. */
bool progress_settled(const struct progress *p);

/* Records that lsn was acknowledged. */
enum ack_status progress_acknowledge(struct progress *p, uint64_t lsn);

#endif
