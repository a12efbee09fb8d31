/*
 * A consumer's place in the sources: what waits, reading it, marking it.  The
 * ledgers are polled, never the log.
 */
#ifndef CURSOR_H
#define CURSOR_H

#include "batch.h"
#include "pg.h"

struct cursor {
	struct view source_id;
	int64_t last_id;   /* the last event processed; 0: none */
	uint64_t total;    /* the source's running total there */
	int64_t write_no;  /* the row of cdc_writes that holds it */
	int64_t newest_id; /* of the source */
	uint64_t newest_total;
	int64_t age_ms; /* since the first event waiting was written */
};

static inline uint64_t
cursor_waiting(const struct cursor *c)
{
	return c->newest_total - c->total;
}

/* Sources with events waiting.  Owns its texts; zero-initialise. */
struct cursor_list {
	struct cursor *cursors;
	size_t n;
	PGresult *texts;
};

void cursor_list_release(struct cursor_list *l);

/*
 * One consumer's session on the buffer.  sources is an SQL array in text form,
 * or NULL for all.
 */
struct cursor_session {
	struct pg pg;
	const char *consumer;
	const char *sources;
};

/* Connects, sets up the session, registers the consumer at its first use. */
int cursor_open(struct cursor_session *s, const char *conninfo, bool latest);

/* What waits, into l. */
int cursor_pending(struct cursor_session *s, struct cursor_list *l);

/*
 * Takes the source for this session, so that no other process of the consumer
 * works on it; *got says whether that succeeded.  c is then to be read again.
 */
int cursor_claim(struct cursor_session *s, const struct cursor *c, bool *got);
int cursor_unclaim(struct cursor_session *s, const struct cursor *c);

/* Where the events of a batch come from: a mark is made of it. */
struct cursor_mark {
	int64_t first_id; /* after the mark before */
	int64_t last_id;
	uint64_t events;
	uint64_t total;
	int64_t write_no;
};

/*
 * Reads the next events after c into the (empty) batch until it is full or c's
 * newest event is in, moves c behind them and fills *m.  An empty batch means
 * that nothing is left: the events were removed.
 */
int cursor_read(struct cursor_session *s, struct cursor *c, struct batch *b,
    struct cursor_mark *m);

/* Records the batch as processed.  EXIT_RETRY if somebody else did. */
int cursor_mark(
    struct cursor_session *s, struct view source, const struct cursor_mark *m);

#endif
