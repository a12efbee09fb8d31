/*
 * Writes into the buffer, one database transaction at a time: rows by COPY,
 * then the ledger row that records them.  Nothing here waits for the server:
 * copyin_step does what is possible now, and the caller polls the socket for
 * copyin_events and reads on meanwhile.  (The exception is the creation of
 * partitions, once in ten million rows.)
 *
 *	                        rows or commit
 *	 CLOSED ──────────────────────────────────────▶ BEGIN
 *	   ▲                                              │ number, first id
 *	   │ committed                          commit    ▼
 *	   └────────────── COMMIT ◀────────────────────  OPEN ◀───────┐
 *	                                                  │ rows      │
 *	                      [LOOK (an id),] START ◀─────┘           │
 *	                          │ (partitions, COPY)                │
 *	                          ▼                                   │
 *	                         COPY ──────────────────▶ END ────────┘
 *	                          commit, or large or old enough
 *
 * From OPEN a schema line goes to SCHEMA, and back, before the rows after it.
 *
 * The first COPY of a transaction needs no LOOK: BEGIN has drawn an id.
 *
 * A COPY does not see partitions created after it began.  So a COPY ends after
 * 50,000 rows or a second, even inside a transaction, and begins only when two
 * whole partitions ahead are empty, which nobody can fill in that time.
 */
#ifndef COPYIN_H
#define COPYIN_H

#include "pg/pg.h"
#include "stream/event.h"

enum copyin_state {
	COPYIN_CLOSED, /* no transaction */
	/* these six await an answer of the server */
	COPYIN_BEGIN,
	COPYIN_LOOK,
	COPYIN_START,
	COPYIN_END,
	COPYIN_SCHEMA,
	COPYIN_COMMIT,
	COPYIN_OPEN, /* in a transaction, outside a COPY */
	COPYIN_COPY, /* in a COPY */
};

/* A source's state in the ledger, or the new values of a commit; 0: none. */
struct copyin_mark {
	uint64_t commit_lsn;
	uint64_t seq;
	uint64_t checkpoint;
	uint32_t timeline;
};

/* Zero-initialise, then copyin_init. */
struct copyin {
	struct pg *pg;
	const char *conninfo; /* for the connection that creates partitions */
	enum copyin_state state;
	PGresult *answer; /* the results that have arrived */
	struct buf source;
	struct copyin_mark known; /* the ledger's state */
	struct copyin_mark mark;  /* its next state, if closing */
	bool closing;             /* commit after the rows given */
	bool blocked;             /* poll until the socket takes more */
	bool unsent;              /* libpq holds bytes not sent yet */

	struct buf marks; /* to keep with the commit, see marks.h */

	struct buf schema; /* a schema line, to store before the rows */
	struct buf rows;   /* to send, as copyrow_put encodes them */
	size_t sent;       /* bytes of `rows` given to libpq */
	uint64_t count;    /* number of rows in `rows` */

	uint64_t in_copy;   /* rows sent in this COPY */
	uint64_t before;    /* rows sent before it, in all transactions */
	uint64_t all;       /* rows sent in all */
	int64_t copy_until; /* when this COPY ends at the latest */
	uint64_t events;    /* rows of this transaction */
	uint64_t bytes;     /* about their length as lines of the stream */
	int64_t write_no;
	int64_t first_id;
	int64_t partitions_end; /* first id that no partition covers */
	int64_t partition_width;
};

/* Creates partitions.  pg stays the caller's, to be used only while the state
 * is COPYIN_CLOSED. */
int copyin_init(struct copyin *c, struct pg *pg, const char *conninfo);

/*
 * Sets the source of the rows to come, and its state in the ledger.  If a
 * transaction finds another state, another writer has written the source, and
 * copyin_step fails.  Only while COPYIN_CLOSED.
 */
void copyin_source(
    struct copyin *c, struct view source, const struct copyin_mark *known);

/* May rows or a commit be given?  Not before the last ones are sent. */
bool copyin_takes(const struct copyin *c);

/* Takes the first n bytes from rows; they are count whole rows.  The caller has
 * put a schema line that goes into effect with the first one into c->schema. */
void copyin_rows(struct copyin *c, struct buf *rows, size_t n, uint64_t count);

/*
 * Commits after the rows given last; a commit without rows stores a checkpoint.
 * The caller has put the marks of snapshots among the rows into c->marks.
 * It is on the buffer's disk once the state is COPYIN_CLOSED again.
 */
void copyin_commit(struct copyin *c, const struct copyin_mark *mark);

/*
 * Does what is possible without waiting.  After an error the connection is
 * unusable, and only the ledger tells whether a commit succeeded.  EXIT_RETRY
 * also if the server has not answered in time (pg_set_timeout).
 */
int copyin_step(struct copyin *c);

/* The events to poll the socket for, and the time of the next copyin_step at
 * the latest (clock_ms; 0: none). */
short copyin_events(const struct copyin *c);
int64_t copyin_deadline(const struct copyin *c);

void copyin_release(struct copyin *c);

#endif
