/*
 * Carries rows from the stream to the buffer, and acks back: which rows are
 * held, when they go to copyin, and when copyin commits.
 *
 *	feed_source → feed_row* → feed_boundary → feed_row* …
 *
 * In the order of the stream:
 *
 *	committed | given to copyin | complete | incomplete | not read yet
 *	                            ^ rows.data             ^ rows.len
 *
 * Rows before the last boundary are complete.  They are committed when there is
 * nothing to read at a boundary, or when a limit is reached.  The rows of an
 * unfinished transaction are held until it ends, so that dropping them loses
 * nothing that is complete.  A transaction too large to hold is streamed: its
 * rows go to copyin before its end is known, in a database transaction of
 * their own.
 *
 * While the server works on a commit the caller reads on, until HOLD_BYTES are
 * held.  Only feed_wait, feed_settle and feed_finish wait.
 */
#ifndef FEED_H
#define FEED_H

#include "base/fdio.h"
#include "writer/copyin.h"
#include "writer/marks.h"
#include "writer/rejects.h"
#include "writer/rowmap.h"
#include "writer/splits.h"

/* Zero-initialise, then feed_init. */
struct feed {
	struct copyin copy;
	struct fdio_out out;
	/* a boundary commits once it has this many rows, or is this old */
	uint64_t batch_size;
	int64_t flush_interval;

	/* the caller sets these; a boundary clears inside */
	bool inside; /* in a transaction whose end was not read yet */
	bool acked;  /* the producer waits for acks */
	struct rejects rejects; /* synced before each commit */

	/* the reader of the acks has exited, which is an error unless stdin
	 * ends by this time; 0: it has not */
	int64_t gone_by;

	struct rowmap rowmap;
	struct buf rows;
	uint64_t count;          /* number of rows in it */
	size_t complete;         /* bytes of the complete ones, */
	uint64_t complete_count; /* and their number */
	uint64_t handed;         /* rows given since the last commit */
	struct splits splits;    /* of the rows, by schema lines */
	bool cut;                /* rows were held back by the next split */
	struct marks marks;      /* among the rows not committed */
	size_t looked;           /* rows.len at the last feed_step */
	bool streaming;
	bool due;         /* commit the complete rows */
	int64_t began_ms; /* first line since the last commit; 0: none */

	struct copyin_mark next; /* the ledger's state after the next commit */
	uint64_t checkpoint;     /* committed, or being committed */

	struct buf ack;           /* of the last checkpoint; empty: none */
	struct buf ack_under_way; /* of the commit in progress */
	struct buf ack_due;       /* to be sent */
};

/* Acks go to out_fd.  The caller calls copyin_init for f->copy, and may use its
 * connection after feed_settle. */
void feed_init(struct feed *f, int out_fd);

/* Sets the source of the rows to come, and its state in the ledger.  No rows
 * may be held. */
int feed_source(
    struct feed *f, struct view source, const struct copyin_mark *known);

/* Starts the flush interval, if it has not started since the last commit. */
void feed_touch(struct feed *f);

/* The next event brings a schema line into effect. */
int feed_schema(struct feed *f, struct view text);

/* Adds an event; line is the number of its line, for messages. */
int feed_row(struct feed *f, const struct event *e, uint64_t line);

/* Makes all rows complete.  The last one is event (commit_lsn, seq); seq 0: it
 * has no identity. */
void feed_boundary(struct feed *f, uint64_t commit_lsn, uint64_t seq);

/* Takes a checkpoint to acknowledge; the caller then calls feed_boundary.
 * lsn 0: the checkpoint is not stored in the ledger. */
void feed_checkpoint(struct feed *f, struct view ack, uint64_t lsn);

/* Drops the rows after the last boundary.  False: some of them have gone to
 * copyin already, in a transaction of their own. */
bool feed_drop(struct feed *f);

/* May more events be added?  Not while a commit is due, or HOLD_BYTES are
 * held. */
bool feed_takes(const struct feed *f);

/* Have enough rows been added since the last feed_step to call it again? */
bool feed_has_much(const struct feed *f);

/* Does what is possible without waiting.  dry: stdin has nothing to read. */
int feed_step(struct feed *f, bool dry);

/*
 * Waits until feed_step has something to do, a signal arrives, the time `until`
 * (clock_ms; 0: none) is reached or, if in_fd is not -1, in_fd is *readable.
 */
int feed_wait(struct feed *f, int in_fd, int64_t until, bool *readable);

/* Commits the complete rows and waits until they are on disk. */
int feed_settle(struct feed *f);

/* The same, and writes all acks. */
int feed_finish(struct feed *f);

/* Closes the descriptor of the acks, too; returns an exit code. */
int feed_release(struct feed *f);

#endif
