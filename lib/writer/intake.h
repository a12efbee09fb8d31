/*
 * Takes the lines of the stream: skips events that are stored, feeds the
 * others, follows sources and transactions, and refuses or rejects bad lines.
 *
 * In a stream with control lines a transaction ends at a checkpoint or at an
 * event of another commit_lsn.  Without control lines every event is complete
 * by itself.  The first lines of a pipe may be either: another buffer-write may
 * have read the beginning of a reader's stream from the same pipe.  While that
 * is not known (`unsure`) nothing is complete.
 */
#ifndef INTAKE_H
#define INTAKE_H

#include "buffer/store.h"
#include "stream/event_read.h"
#include "writer/feed.h"
#include "writer/schema_intake.h"
#include "writer/writer.h"

/* (commit_lsn, seq) of an event; seq 0: none. */
struct position {
	uint64_t commit_lsn;
	uint64_t seq;
};

/* Zero-initialise, then set o and unsure, and open pg and feed. */
struct intake {
	const struct writer_options *o;
	struct pg pg;
	struct feed feed;
	struct event_reader json;
	uint64_t number; /* of the line */
	bool skipping;   /* in a line that was too long */
	bool finished;   /* nothing more is read */

	struct schema_intake schemas;
	struct buf source;        /* of the rows; empty: none yet */
	struct store_state state; /* of the source, before its first row */
	struct position last;     /* of the last event that had one */
	bool started;             /* by a start line: acks are LSNs */
	bool controlled;          /* the stream has control lines */
	bool unsure;              /* not known yet whether it has them */
	uint64_t skipped;         /* events at or below the watermark */
};

/* Takes line number `number`, without its newline.  Returns an exit code. */
int intake_line(struct intake *in, uint64_t number, struct view text);

/*
 * Takes a line longer than --max-line: its beginning, then, while skipping is
 * set, the pieces after it.
 */
int intake_long(struct intake *in, uint64_t number, struct view text);
int intake_rest(struct intake *in, struct view piece, bool last);

/* The stream has no control lines: makes its events so far complete. */
int intake_decide(struct intake *in);

/* Finishes: commits what is complete and writes all acks. */
int intake_finish(struct intake *in);

/*
 * Finishes inside a transaction, which is dropped.  Rows of it that were sent
 * are rolled back when the connection closes.
 */
int intake_abandon(struct intake *in);

/* Closes pg; the feed is released by feed_release before. */
void intake_release(struct intake *in);

#endif
