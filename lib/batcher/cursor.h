/*
 * A consumer's cursors, one in each source: which events wait, who works on a
 * source, and the record of what was processed.  The ledgers (cdc_writes and
 * cdc_batches) are polled, never the log.
 *
 * Everything is done in one session, which holds the locks of the sources.  If
 * its backend ends, another process gets the locks, and the marks that this
 * process still makes fail.
 */
#ifndef CURSOR_H
#define CURSOR_H

#include "batcher/batch.h"
#include "pg/pg.h"

enum cursor_mode {
	CURSOR_CONSUME,
	CURSOR_PEEK,    /* the next batch of each source; marks nothing */
	CURSOR_REPLAY,  /* a part of the log, without a consumer */
	CURSOR_LETTERS, /* the consumer's open dead letters */
};

/* A consumer's place in a source, and the events that wait after it. */
struct cursor {
	struct view source_id;
	int64_t last_id;   /* the last event processed; 0: none */
	uint64_t total;    /* the source's running total of events there */
	int64_t write_no;  /* the row of cdc_writes that holds last_id */
	int64_t newest_id; /* the last event to read */
	uint64_t newest_total;
	int64_t age_ms; /* since the first waiting event was written, by the
			 * server's clock; 0 if that was set back */
	bool failing;   /* cdc_retries has a row of the next batch */
	uint64_t bytes; /* about, of the waiting events, unless they fill a
			 * batch by their number; those that tools of schema
			 * version 3 stored count as 0 */
};

static inline uint64_t
cursor_waiting(const struct cursor *c)
{
	return c->newest_total - c->total;
}

/* What CURSOR_REPLAY reads, as text; "": no limit. */
struct cursor_span {
	char from_id[24];
	char to_id[24];
	char from_lsn[24];
};

/* Cursors of the sources with waiting events.  Owns their texts;
 * zero-initialise. */
struct cursor_list {
	struct cursor *cursors;
	size_t n;
	PGresult *texts;
};

void cursor_list_release(struct cursor_list *l);

/* Zero-initialise, then set the members from `mode` to `span`. */
struct cursor_session {
	struct pg pg;
	enum cursor_mode mode;
	const char *consumer;
	const char *sources; /* an SQL array as text; NULL: all */
	char batch_size[24]; /* events of a full batch, as text */
	bool once;           /* deliver what is there at the start, and end */
	bool latest; /* a consumer that is not registered begins at the end */
	struct cursor_span span;

	/* private */
	bool marking;    /* a mark was sent, and its answer was not read */
	bool failing;    /* cdc_retries has a row of the locked source */
	bool requesting; /* a source that another process has locked */
};

/*
 * Connects, sets up the session, and registers the consumer if it is new.  A
 * source that the buffer does not know is EXIT_CONFIG with `once`, else a
 * warning.
 */
int cursor_open(struct cursor_session *s, const char *conninfo);

/* Lists the sources with waiting events. */
int cursor_pending(struct cursor_session *s, struct cursor_list *l);

/*
 * Locks the source of c, which was listed, so that no other process of the
 * consumer works on it.  *locked: it succeeded, and c was read again; last_id
 * is newest_id if no event waits any more.  If another process has the lock,
 * it can see our request until cursor_release.  CURSOR_PEEK and CURSOR_REPLAY
 * need no lock.
 */
int cursor_lock(struct cursor_session *s, struct cursor *c, bool *locked);

/*
 * Releases all locks and requests.  *requested: another process waits for this
 * source; the source may be a null view.
 */
int cursor_release(
    struct cursor_session *s, struct view source, bool *requested);

/*
 * Records that events were processed.  Returns before the server has answered:
 * if it refuses the mark, the next call fails, with EXIT_RETRY if another
 * process has marked the events.
 */
int cursor_mark(
    struct cursor_session *s, struct view source, const struct batch_mark *m);

/* Waits for the answer to the last mark. */
int cursor_settle(struct cursor_session *s);

/* Records in cdc_retries that the batch failed once more; the next mark of the
 * source removes the row. */
int cursor_failed(struct cursor_session *s, struct view source,
    const struct batch *b, const char *status);

/* For statements that mark, too (letters.h) */

/* The parameters of mark.sql, with room for those that park.sql has more. */
struct cursor_params {
	struct buf source; /* the caller releases it */
	char numbers[5][24];
	const char *p[11];
};

void cursor_params(struct cursor_params *p, const struct cursor_session *s,
    struct view source, const struct batch_mark *m);

/* Explains rc and res, the answer to a mark.  count: no row is a failure. */
int cursor_check_mark(
    struct cursor_session *s, int rc, const PGresult *res, bool count);

#endif
