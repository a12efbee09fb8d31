/*
 * Rows on their way from the stream into the buffer, and acks on their way
 * back: what is held, what is handed to copyin, when it is committed.
 *
 *	feed_source → feed_row* → feed_boundary → feed_row* …
 *
 * In the order of the stream:
 *
 *	committed | handed to copyin | complete | the rest   | not read yet
 *	                             ^ rows.data             ^ rows.len
 *
 * Complete are the rows before the last boundary.  They are committed as soon
 * as there is nothing to read at a boundary, or a limit is reached; those of an
 * unfinished transaction stay behind, so that nothing complete is lost with
 * them.  A transaction too large to be held is streamed: handed on before its
 * end is known, in a database transaction of its own.
 *
 * While the server works on one commit the caller reads on, up to what may be
 * held.  Nothing here waits but feed_wait and what calls it.
 */
#ifndef FEED_H
#define FEED_H

#include "base/fdio.h"
#include "writer/copyin.h"
#include "writer/rejects.h"
#include "writer/rowmap.h"

/* Zero-initialise, then feed_init. */
struct feed {
	struct copyin copy;
	struct fdio_out out;
	uint64_t batch_size;    /* rows after which a boundary commits, */
	int64_t flush_interval; /* or ms */

	bool inside; /* of a transaction whose end is not known; the caller's */
	bool acked;  /* somebody waits for acks: the end of it is an error, */
	int64_t gone_by; /* unless stdin ends by then; 0: it has not come */

	struct rejects
	    rejects; /* the caller's; on disk before what is behind */

	struct rowmap rowmap;
	struct buf rows;
	uint64_t count;          /* of rows in it */
	size_t complete;         /* bytes of them, */
	uint64_t complete_count; /* and rows */
	uint64_t handed;         /* rows, since the last commit began */
	size_t looked;           /* rows.len at the last feed_step */
	bool streaming;
	bool due;         /* what is complete is to be committed */
	int64_t began_ms; /* first line since the last commit; 0: none */

	struct copyin_mark next; /* what the next commit says */
	uint64_t checkpoint;     /* committed, or being so */

	struct buf ack;           /* of the last checkpoint; empty: none */
	struct buf ack_under_way; /* waits for the commit under way */
	struct buf ack_due;       /* may be sent */
};

/* Acks go to out_fd.  copyin_init of f->copy is the caller's, who may use its
 * connection after feed_settle. */
void feed_init(struct feed *f, int out_fd);

/* The source of the rows to come, and what its ledger says; nothing may be
 * held. */
int feed_source(
    struct feed *f, struct view source, const struct copyin_mark *known);

/* There is a line, from which on the flush interval counts. */
void feed_touch(struct feed *f);

/* line is the number of the event's, for messages. */
int feed_row(struct feed *f, const struct event *e, uint64_t line);

/* All rows before are complete, the last of them being (commit_lsn, seq); seq
 * 0: it has no identity. */
void feed_boundary(struct feed *f, uint64_t commit_lsn, uint64_t seq);

/* A checkpoint to be acknowledged, followed by feed_boundary; lsn 0: it is not
 * one that the ledger knows. */
void feed_checkpoint(struct feed *f, struct view ack, uint64_t lsn);

/* Forgets the rows after the last boundary.  False: it is too late for that,
 * some have been handed on; all before them has been committed. */
bool feed_drop(struct feed *f);

/* May more be fed?  Not while a commit is due or as much is held as may be. */
bool feed_takes(const struct feed *f);

/* Has so much come since the last feed_step that one is worth it? */
bool feed_has_much(const struct feed *f);

/* Does what can be done without waiting.  dry: there is nothing to read. */
int feed_step(struct feed *f, bool dry);

/*
 * Waits until feed_step has something to do, a signal arrives, until (clock_ms;
 * 0: for ever) or, if in_fd is not -1, there is something to read there, which
 * *readable tells.
 */
int feed_wait(struct feed *f, int in_fd, int64_t until, bool *readable);

/* Commits what is complete, and waits for it. */
int feed_settle(struct feed *f);

/* The same, and all acks are written. */
int feed_finish(struct feed *f);

/* Closes the descriptor of the acks; returns an exit code. */
int feed_release(struct feed *f);

#endif
