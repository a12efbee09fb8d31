/*
 * Writing into the buffer: one database transaction at a time, made of rows
 * through COPY and of the ledger row that says so.  Nothing here waits for the
 * server: copyin_step does what can be done now, the caller polls the socket
 * for copyin_events and reads on meanwhile.  (The exception, once in ten
 * million rows, is the making of partitions.)
 *
 *	                        rows or commit
 *	 CLOSED ──────────────────────────────────────▶ BEGIN
 *	   ▲                                              │ number, first id
 *	   │ committed                          commit    ▼
 *	   └────────────── COMMIT ◀────────────────────  OPEN ◀───────┐
 *	                                                  │ rows      │
 *	                          LOOK, START (an id, ────┘           │
 *	                          │ partitions, COPY)                 │
 *	                          ▼                                   │
 *	                         COPY ──────────────────▶ END ────────┘
 *	                          commit, or large or old enough
 *
 * A COPY sees no partition made after it began.  So it ends after 50,000 rows
 * or a second, whatever the transaction is, and before the next one there are
 * two whole partitions ahead: in that time nobody can fill them.
 */
#ifndef COPYIN_H
#define COPYIN_H

#include "pg/pg.h"
#include "stream/event.h"

enum copyin_state {
	COPYIN_CLOSED, /* no transaction */
	COPYIN_BEGIN,  /* and the next ones: an answer is awaited */
	COPYIN_LOOK,
	COPYIN_START,
	COPYIN_END,
	COPYIN_COMMIT,
	COPYIN_OPEN, /* in a transaction, outside of a COPY */
	COPYIN_COPY,
};

/* What the ledger says of a source, or a commit is to say; 0: nothing. */
struct copyin_mark {
	uint64_t commit_lsn;
	uint64_t seq;
	uint64_t checkpoint;
	uint32_t timeline;
};

/* Zero-initialise, then copyin_init. */
struct copyin {
	struct pg *pg;
	const char *conninfo; /* for the connection that makes partitions */
	enum copyin_state state;
	PGresult *answer; /* as far as it has come */
	struct buf source;
	struct copyin_mark known; /* what the ledger says */
	struct copyin_mark mark;  /* what it will say, if closing */
	bool closing;             /* to be committed after these rows */
	bool blocked;             /* the socket takes no more now */
	bool unsent;              /* so that something is left over */

	struct buf rows; /* to be sent, as copyrow_put makes them */
	size_t sent;     /* bytes of them */
	uint64_t count;  /* of rows in it */

	uint64_t in_copy;   /* rows of this COPY */
	uint64_t before;    /* rows before this COPY, in all transactions */
	uint64_t all;       /* rows sent */
	int64_t copy_until; /* when it is old */
	uint64_t events;    /* rows of this transaction */
	uint64_t bytes;     /* of them, as lines of the stream; about */
	int64_t write_no;
	int64_t first_id;
	int64_t partitions_end; /* first id that no partition covers */
	int64_t partition_width;
};

/* Sees to partitions; pg stays the caller's, but is for copyin alone unless
 * the state is COPYIN_CLOSED. */
int copyin_init(struct copyin *c, struct pg *pg, const char *conninfo);

/*
 * The source of the rows to come, and what its ledger says: a transaction that
 * finds something else has met another writer.  Only while COPYIN_CLOSED.
 */
void copyin_source(
    struct copyin *c, struct view source, const struct copyin_mark *known);

/* May rows or a commit be given to it?  Not while it has some. */
bool copyin_takes(const struct copyin *c);

/* Takes the first n bytes out of rows, which are count whole rows. */
void copyin_rows(struct copyin *c, struct buf *rows, size_t n, uint64_t count);

/*
 * Commits after the rows given last.  Without rows it moves the checkpoint
 * only.  Once the state is COPYIN_CLOSED again it is on the buffer's disk.
 */
void copyin_commit(struct copyin *c, const struct copyin_mark *mark);

/*
 * Does what can be done without waiting.  An error leaves the connection
 * unusable; what was committed is to be read from the ledger.  EXIT_RETRY also
 * if the server has not answered in time (pg_set_timeout).
 */
int copyin_step(struct copyin *c);

/* What to poll the socket for, and until when at the latest (clock_ms; 0: for
 * ever) before the next copyin_step. */
short copyin_events(const struct copyin *c);
int64_t copyin_deadline(const struct copyin *c);

void copyin_release(struct copyin *c);

#endif
