/*
 * A connection to PostgreSQL.  Nothing here waits for a server for ever: what
 * is not answered for 5 s is said on stderr, after the limit of pg_set_timeout
 * it is EXIT_RETRY; and once the process is asked to stop the server has
 * STOP_GRACE_MS left.
 *
 * Functions that return an exit code have logged "could not DOING: REASON",
 * the reason being the server's primary message: details and context, which
 * hold row values, are never shown.
 */
#ifndef PG_H
#define PG_H

#include <libpq-fe.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/patience.h"

#define STOP_GRACE_MS 3000
#define PG_PREPARED   4 /* statements that a session may ask again and again */

/* Zero-initialise. */
struct pg {
	PGconn *conn;
	const char *what;     /* "source" or "buffer", for messages */
	const char *conninfo; /* it was opened with; kept, not copied */
	const char *expected; /* SQLSTATEs that begin so are not logged */
	int64_t backend;      /* the server's process, where it was asked for */
	const char *prepared[PG_PREPARED]; /* texts, by their pointers */
	/* Says in a message which row of a COPY the server means, the first one
	 * being 1; NULL: nobody can. */
	void (*name_row)(const void *arg, uint64_t row, struct buf *to);
	const void *name_row_arg;

	/* What it is asked may take long or wait for locks: after the limit it
	 * is enough that the server answers somebody else, up to PG_SLOW times
	 * the limit. */
	bool slow;
	struct patience patience; /* with what is asked now */
	int rounds;               /* of it that have passed */
};

#define PG_SLOW 60

/*
 * Process-wide, set once by main: for how long a server may be silent that was
 * asked something, in ms; 0: for ever.  PATIENCE_MS unless it is set.
 */
void pg_set_timeout(int64_t ms);
int64_t pg_timeout(void);

/*
 * For who polls the socket for an answer: pg_await as the wait begins, pg_heard
 * whenever something has come or was taken.  At pg_due_at (clock_ms; INT64_MAX:
 * never) pg_lose_patience says that we wait or, EXIT_RETRY, gives up.
 */
void pg_await(struct pg *pg);
void pg_heard(struct pg *pg);
int64_t pg_due_at(const struct pg *pg);
int pg_lose_patience(struct pg *pg, const char *doing);

/*
 * Has the server end what runs on this session; it is heard of through the
 * session.  Waits for a few seconds at most.
 */
void pg_cancel(struct pg *pg);

void pg_close(struct pg *pg);

/*
 * Runs sql, with n text parameters if n > 0 (then one statement only).  The
 * last statement's result is left in *res, to be PQclear'ed by the caller, if
 * res is not NULL.  A COPY leaves the connection in that state.  doing is the
 * message's "VERB OBJECT".
 */
int pg_query(struct pg *pg, const char *doing, const char *sql, int n,
    const char *const *params, PGresult **res);

/*
 * A statement that is asked again and again: the session parses it once, and
 * plans it a few times.  sql outlives the session.
 */
struct pg_call {
	const char *sql;
	int n; /* text parameters */
	const char *const *params;
	PGresult *res; /* the answer, or NULL; the caller's to PQclear */
};

/*
 * Makes n calls in one round trip; each sees what those before it have done,
 * and all are one transaction.  The first that fails ends them and is the one
 * that is logged; the connection is to be closed then.
 */
int pg_query_again(
    struct pg *pg, const char *doing, struct pg_call *calls, size_t n);

/* For who sends it by itself: the name under which sql, with n parameters, is
 * prepared from now on. */
int pg_prepare(struct pg *pg, const char *doing, const char *sql, int n,
    const char **name);

/* The next message of a COPY to us, for PQfreemem; NULL at its end. */
int pg_copy_data(struct pg *pg, const char *doing, char **message, size_t *n);

/* Waits for the results still to come, as after a COPY. */
int pg_finish(struct pg *pg, const char *doing, PGresult **res);

/*
 * The same without waiting, for who polls the socket and calls PQconsumeInput:
 * takes the results that have come, leaves the last in *kept, which is null at
 * first.  *done: there are no more.
 */
int pg_collect(struct pg *pg, const char *doing, PGresult **kept, bool *done);

/*
 * Logs the failure of res (NULL: of the connection itself) and returns the
 * exit code of its SQLSTATE.
 */
int pg_failed(const struct pg *pg, const char *doing, const PGresult *res);

/* The exit code of an SQLSTATE of five characters. */
int pg_exit_code(const char *sqlstate);

/* Is res an error with this SQLSTATE? */
bool pg_is_state(const PGresult *res, const char *sqlstate);

/* Appends text quoted for SQL.  False: not valid in the client's encoding, or
 * no memory. */
bool pg_add_literal(struct pg *pg, struct buf *b, struct view text);
bool pg_add_identifier(struct pg *pg, struct buf *b, struct view text);

/*
 * An array in text form, as a parameter: items one by one, then the end.  An
 * array of no items is pg_array_end alone.
 */
void pg_array_add(struct buf *b, struct view item);
const char *pg_array_end(struct buf *b);

/* Of the first row: the column as text, "" for null. */
struct view pg_value(const PGresult *res, int row, int column);

#endif
