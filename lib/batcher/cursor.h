/*
 * A consumer's place in the sources: what waits, whose turn it is, and the
 * record of what was processed.  The ledgers are polled, never the log.
 *
 * All of it is done on one session, which holds the claims: if its backend is
 * ended, another process takes over and the marks of this one fail.
 */
#ifndef CURSOR_H
#define CURSOR_H

#include "batcher/prefetch.h"

enum cursor_mode {
	CURSOR_CONSUME,
	CURSOR_PEEK,    /* what would come next; nothing is recorded */
	CURSOR_REPLAY,  /* what is still there; no consumer takes part */
	CURSOR_LETTERS, /* the consumer's open dead letters */
};

/* What CURSOR_REPLAY reads; "" in text form: no limit. */
struct cursor_span {
	char from_id[24];
	char to_id[24];
	char from_lsn[24];
};

/* Sources with events waiting.  Owns its texts; zero-initialise. */
struct cursor_list {
	struct cursor *cursors;
	size_t n;
	PGresult *texts;
};

void cursor_list_release(struct cursor_list *l);

/* sources is an SQL array in text form, or NULL for all. */
struct cursor_session {
	struct pg pg;
	enum cursor_mode mode;
	const char *consumer;
	const char *sources;
	bool once;   /* who waits for nothing wants no unknown sources */
	bool latest; /* where the consumer begins if it is not registered */
	struct cursor_span span;
	bool marking; /* a mark was sent, its answer not read */
	bool waiting; /* for a source that another process has */
};

/* Connects, sets up the session, registers a consumer that is not.  A source
 * that the buffer does not know is EXIT_CONFIG with `once`, else a warning. */
int cursor_open(struct cursor_session *s, const char *conninfo);

/* What waits, into l. */
int cursor_pending(struct cursor_session *s, struct cursor_list *l);

/*
 * Takes the source for this session, so that no other process of the consumer
 * works on it; *got says whether that succeeded.  Then l holds the cursor as it
 * is by now, or nothing if no event waits any more.  Who does not get it is
 * known to wait for it until cursor_let_go.  Not for CURSOR_REPLAY, which takes
 * nothing.
 */
int cursor_take(struct cursor_session *s, struct view source, bool *got,
    struct cursor_list *l);

/* Gives up all that was taken or is waited for.  *wanted: another process waits
 * for this source, which may be a null view if nobody asks. */
int cursor_let_go(struct cursor_session *s, struct view source, bool *wanted);

/*
 * Records that events were processed.  The answer is not waited for: a mark
 * that is refused is an error of the next call, EXIT_RETRY if somebody else
 * made it.
 */
int cursor_mark(
    struct cursor_session *s, struct view source, const struct batch_mark *m);

/* Waits for the answer. */
int cursor_settle(struct cursor_session *s);

/* Failures */

struct cursor_letter {
	int64_t id;
	uint64_t attempts;
	char status[40];
	struct buf stderr_tail;
};

/* A batch failed for the nth time; cursor_recovered ends that. */
int cursor_failing(struct cursor_session *s, struct view source,
    const struct batch *b, const char *status);
int cursor_recovered(struct cursor_session *s, struct view source);

/* How many dead letters of the consumer are open. */
int cursor_letters(struct cursor_session *s, uint64_t *n);

/*
 * Parks the events, and marks what they are part of in the same statement; of
 * letters (mode CURSOR_LETTERS) it records how they failed again, m being
 * NULL.
 */
int cursor_park(struct cursor_session *s, struct view source,
    const struct cursor_letter *letters, size_t n, const struct batch_mark *m);

/*
 * Into the empty queue q, the newest event before id that the consumer has
 * processed, dead letters left out; none, if there is none any more.
 */
int cursor_neighbour(struct cursor_session *s, struct view source, int64_t id,
    struct batch_queue *q);

#endif
