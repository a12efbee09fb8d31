/*
 * A connection to PostgreSQL.  Every wait for the server is limited.  After 5 s
 * without an answer a warning is logged; after the limit of pg_set_timeout the
 * function fails with EXIT_RETRY.  After a stop request the server has
 * STOP_GRACE_MS left to answer.
 *
 * A function that fails with an exit code has logged "could not DOING: REASON".
 * REASON is the server's primary message; its detail and context may hold row
 * values and are never logged.
 */
#ifndef PG_H
#define PG_H

#include <libpq-fe.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/patience.h"

#define STOP_GRACE_MS 3000
#define PG_PREPARED   4 /* statements that a session can prepare */

/* Zero-initialise. */
struct pg {
	PGconn *conn;
	const char *what;     /* "source" or "buffer", for messages */
	const char *conninfo; /* of pg_connect; kept, not copied */
	const char *expected; /* errors whose SQLSTATE begins with this are not
			       * logged; or NULL */
	int64_t backend;      /* pid of the server process; 0: not asked yet */
	const char *prepared[PG_PREPARED]; /* SQL, compared by pointer */
	/* Appends to an error's message which row of a COPY it is about; the
	 * first row is 1.  May be NULL. */
	void (*name_row)(const void *arg, uint64_t row, struct buf *to);
	const void *name_row_arg;

	/* Statements may take long or wait for locks: when the limit is
	 * reached, the wait goes on if the server answers another session, for
	 * up to PG_SLOW limits. */
	bool slow;
	struct patience patience; /* with the current statement */
	int rounds;               /* limits that have passed in this wait */
};

#define PG_SLOW 60

/*
 * Process-wide, set once by main: how long a server may take to answer, in ms;
 * 0: for ever.  The default is PATIENCE_MS.
 */
void pg_set_timeout(int64_t ms);
int64_t pg_timeout(void);

/*
 * For callers that poll the socket: call pg_await when the wait begins, and
 * pg_heard whenever the server has sent or accepted something.  At pg_due_at
 * (clock_ms; INT64_MAX: never) call pg_lose_patience, which logs that we wait,
 * or gives up with EXIT_RETRY.
 */
void pg_await(struct pg *pg);
void pg_heard(struct pg *pg);
int64_t pg_due_at(const struct pg *pg);
int pg_lose_patience(struct pg *pg, const char *doing);

/*
 * Asks the server to cancel the statement of this session, which then fails as
 * usual.  Waits a few seconds at most.
 */
void pg_cancel(struct pg *pg);

void pg_close(struct pg *pg);

/*
 * Runs sql, with n text parameters if n > 0 (then sql must be one statement).
 * Unless res is NULL, *res is the result of the last statement, also of one
 * that failed, or NULL; the caller must PQclear it.  A COPY leaves the
 * connection in that state.  doing is the message's "VERB OBJECT".
 */
int pg_query(struct pg *pg, const char *doing, const char *sql, int n,
    const char *const *params, PGresult **res);

/*
 * A call of a statement that is used repeatedly: the session prepares it once.
 * sql must outlive the session.
 */
struct pg_call {
	const char *sql;
	int n; /* text parameters */
	const char *const *params;
	PGresult *res; /* the result or NULL; the caller must PQclear it */
};

/*
 * Makes n calls, at most PG_PREPARED, in one round trip and one transaction;
 * each sees the effects of those before it.  The first call that fails is
 * logged, and those after it do not run; the caller must then close the
 * connection.
 */
int pg_query_again(
    struct pg *pg, const char *doing, struct pg_call *calls, size_t n);

/* For callers that send the statement themselves: prepares sql, with n
 * parameters, unless it was prepared before, and sets *name to its name. */
int pg_prepare(struct pg *pg, const char *doing, const char *sql, int n,
    const char **name);

/* Waits for the next message of a COPY TO STDOUT; the caller must PQfreemem it.
 * NULL at the end. */
int pg_copy_data(struct pg *pg, const char *doing, char **message, size_t *n);

/* Waits for the remaining results, as after a COPY; res as in pg_query. */
int pg_finish(struct pg *pg, const char *doing, PGresult **res);

/*
 * The same without waiting, for callers that poll the socket and call
 * PQconsumeInput.  Takes the results that have arrived and keeps the last one
 * in *kept, which is NULL at first.  *done: there are no more.
 */
int pg_collect(struct pg *pg, const char *doing, PGresult **kept, bool *done);

/*
 * Logs the failure of res, or of the connection itself if res is NULL, and
 * returns the exit code.
 */
int pg_failed(const struct pg *pg, const char *doing, const PGresult *res);

/* The exit code of an SQLSTATE of five characters. */
int pg_exit_code(const char *sqlstate);

/* Is res an error with this SQLSTATE? */
bool pg_is_state(const PGresult *res, const char *sqlstate);

/* Appends text quoted for SQL.  False: text is not valid UTF-8, or memory ran
 * out. */
bool pg_add_literal(struct pg *pg, struct buf *b, struct view text);
bool pg_add_identifier(struct pg *pg, struct buf *b, struct view text);

/*
 * Builds an array as a text parameter: pg_array_add for each item, if any, then
 * pg_array_end, which returns the text, or NULL if memory ran out.
 */
void pg_array_add(struct buf *b, struct view item);
const char *pg_array_end(struct buf *b);

/* The text of a column in a row; "" for null. */
struct view pg_value(const PGresult *res, int row, int column);

#endif
