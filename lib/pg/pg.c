#include "pg/pg.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/num.h"
#include "base/signals.h"
#include "pg/pg_look.h"
#include "pg/pg_remedy.h"

#define LOOK_MS  2000 /* to ask which sessions block ours */
#define CANCEL_S 3

static int64_t timeout_ms = PATIENCE_MS;

/* Codes and classes in the order in which they are looked up. */
static const struct {
	const char *prefix;
	int code;
} exit_codes[] = {
    {"28", EXIT_NOPERM},    /* authentication */
    {"42501", EXIT_NOPERM}, /* insufficient privilege */
    {"22", EXIT_DATA},      /* a value */
    {"23", EXIT_DATA},      /* a constraint */
    {"54", EXIT_DATA},      /* a limit of a value's size or depth */
    {"3D000", EXIT_CONFIG}, /* no such database */
    {"3F000", EXIT_CONFIG}, /* schema */
    {"42704", EXIT_CONFIG}, /* object: a publication */
    {"42883", EXIT_CONFIG}, /* function */
    {"42P01", EXIT_CONFIG}, /* table */
    {"42703", EXIT_CONFIG}, /* column */
    {"55000", EXIT_CONFIG}, /* wal_level, and the like */
    {"P0001", EXIT_CONFIG}, /* an exception of our schema's functions */
    {"42", EXIT_BUG},       /* an error in our SQL */
};

int
pg_exit_code(const char *sqlstate)
{
	for (size_t i = 0; i < sizeof(exit_codes) / sizeof(*exit_codes); i++) {
		const char *prefix = exit_codes[i].prefix;

		if (strncmp(sqlstate, prefix, strlen(prefix)) == 0)
			return exit_codes[i].code;
	}
	/* 08, 40, 53, 55, 57, 58 and all unknown ones: try again */
	return EXIT_RETRY;
}

bool
pg_is_state(const PGresult *res, const char *sqlstate)
{
	const char *got = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	return got != NULL && strcmp(got, sqlstate) == 0;
}

/*
 * The row of a COPY into philotes.cdc_log that an error is about; 0: none.  The
 * last line of the context is the outermost one: "COPY cdc_log, line 7, column
 * after_data", in the server's language.
 */
static uint64_t
copy_row(const PGresult *res)
{
	const char *context = PQresultErrorField(res, PG_DIAG_CONTEXT);
	const char *last = context != NULL ? strrchr(context, '\n') : NULL;
	uint64_t row = 0;
	size_t n;

	last = last != NULL ? last : context;
	last = last != NULL && strstr(last, "COPY") != NULL
	    ? strstr(last, "cdc_log")
	    : NULL;
	if (last == NULL)
		return 0;
	last += strcspn(last, "0123456789");
	n = strspn(last, "0123456789");
	return num_parse_u64((struct view){last, n}, &row) ? row : 0;
}

static void
log_server_error(const struct pg *pg, const char *doing, const PGresult *res,
    const char *primary)
{
	uint64_t row = pg->name_row != NULL ? copy_row(res) : 0;
	struct buf name = BUF_INIT;

	if (row != 0)
		pg->name_row(pg->name_row_arg, row, &name);
	log_error(
	    "could not %s: %s%.*s", doing, primary, VIEW_FMT(buf_view(&name)));
	buf_release(&name);
}

int
pg_failed(const struct pg *pg, const char *doing, const PGresult *res)
{
	const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	if (primary != NULL && state != NULL) {
		if (pg->expected != NULL &&
		    strncmp(pg->expected, state, strlen(pg->expected)) == 0)
			return pg_exit_code(state);
		log_server_error(pg, doing, res, primary);
		pg_remedy_statement(pg, state);
		return pg_exit_code(state);
	}
	log_error("could not %s: %.*s", doing,
	    VIEW_FMT(view_first_line(PQerrorMessage(pg->conn))));
	return EXIT_RETRY;
}

void
pg_close(struct pg *pg)
{
	PQfinish(pg->conn);
	*pg = (struct pg){0};
}

/* Waiting */

void
pg_set_timeout(int64_t ms)
{
	timeout_ms = ms;
}

int64_t
pg_timeout(void)
{
	return timeout_ms;
}

void
pg_await(struct pg *pg)
{
	pg->rounds = 0;
	patience_start(&pg->patience, clock_ms());
}

void
pg_heard(struct pg *pg)
{
	patience_hear(&pg->patience, clock_ms());
}

int64_t
pg_due_at(const struct pg *pg)
{
	return patience_due_at(&pg->patience);
}

static void
say_waiting(const struct pg *pg, const char *doing, const struct buf *blockers)
{
	log_warning("waiting for the %s to %s%s%.*s", pg->what, doing,
	    blockers->len > 0 ? ", blocked by " : "",
	    VIEW_FMT(buf_view(blockers)));
}

/* Logs what we wait for and, if the server tells within LOOK_MS, which sessions
 * block ours. */
static void
explain_wait(const struct pg *pg, const char *doing)
{
	struct buf blockers = BUF_INIT;

	if (pg->slow)
		pg_look(pg, LOOK_MS, &blockers);
	say_waiting(pg, doing, &blockers);
	buf_release(&blockers);
}

/* May the wait go on?  If so, logs that we wait. */
static bool
goes_on(struct pg *pg, const char *doing)
{
	struct buf blockers = BUF_INIT;
	bool yes = pg->slow && ++pg->rounds < PG_SLOW &&
	    pg_look(pg, pg->patience.limit, &blockers);

	if (yes)
		say_waiting(pg, doing, &blockers);
	buf_release(&blockers);
	return yes;
}

int
pg_lose_patience(struct pg *pg, const char *doing)
{
	switch (patience_look(&pg->patience, clock_ms())) {
	case PATIENCE_WAIT:
		return EXIT_DONE;
	case PATIENCE_SAY:
		explain_wait(pg, doing);
		return EXIT_DONE;
	case PATIENCE_OVER:
		break;
	}
	/* perhaps this process was suspended, and an answer has arrived */
	if (fdio_wait(PQsocket(pg->conn), POLLIN, 0) != 0)
		return EXIT_DONE;
	if (goes_on(pg, doing)) {
		pg_heard(pg);
		return EXIT_DONE;
	}
	log_error("could not %s: the %s has not answered for %g s", doing,
	    pg->what, (double)pg->patience.limit / 1000);
	return EXIT_RETRY;
}

/* Waits until the server has sent something or accepted queued data. */
static int
wait_for_server(struct pg *pg, const char *doing, int64_t *stop_by)
{
	bool unsent = PQflush(pg->conn) > 0;

	if (signals_stop_requested() && *stop_by == INT64_MAX)
		*stop_by = clock_ms() + STOP_GRACE_MS;
	if (fdio_wait(PQsocket(pg->conn),
		(short)(unsent ? POLLIN | POLLOUT : POLLIN),
		clock_left(clock_earlier(*stop_by, pg_due_at(pg)))) != 0) {
		pg_heard(pg);
		return PQconsumeInput(pg->conn) == 0
		    ? pg_failed(pg, doing, NULL)
		    : EXIT_DONE;
	}
	if (clock_ms() < *stop_by)
		return pg_lose_patience(pg, doing);
	log_error(
	    "could not %s: stopped while the server did not answer", doing);
	return EXIT_RETRY;
}

/* Waits until PQgetResult does not block. */
static int
wait_result(struct pg *pg, const char *doing)
{
	int64_t stop_by = INT64_MAX;
	int rc = EXIT_DONE;

	pg_await(pg);
	while (rc == EXIT_DONE && PQisBusy(pg->conn) != 0)
		rc = wait_for_server(pg, doing, &stop_by);
	return rc;
}

int
pg_copy_data(struct pg *pg, const char *doing, char **message, size_t *n)
{
	int64_t stop_by = INT64_MAX;
	int got, rc = EXIT_DONE;

	*message = NULL;
	pg_await(pg);
	while (
	    rc == EXIT_DONE && (got = PQgetCopyData(pg->conn, message, 1)) == 0)
		rc = wait_for_server(pg, doing, &stop_by);
	*n = rc == EXIT_DONE && got > 0 ? (size_t)got : 0;
	return rc;
}

/* PQcancel runs in a child process with an alarm, since it waits without a
 * limit until the server closes the connection that carries the request. */
void
pg_cancel(struct pg *pg)
{
	PGcancel *handle = PQgetCancel(pg->conn);
	char why[256];
	int status = 0;
	pid_t child = handle != NULL ? fork() : -1;

	if (child == 0) {
		signals_reset();
		alarm(CANCEL_S);
		_exit(PQcancel(handle, why, sizeof(why)) == 0);
	}
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	if (child < 0 || status != 0)
		log_info("could not cancel a statement on the %s", pg->what);
	PQfreeCancel(handle);
}

static bool
is_copy(const PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	return status == PGRES_COPY_IN || status == PGRES_COPY_OUT ||
	    status == PGRES_COPY_BOTH;
}

static bool
is_error(const PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	return res != NULL &&
	    (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE ||
		status == PGRES_EMPTY_QUERY);
}

/* Takes the results that have arrived, up to the end or a COPY, so that the
 * connection accepts the next command.  Keeps the last result or the first
 * error.  False: more results are to come. */
static bool
take_results(struct pg *pg, PGresult **kept)
{
	PGresult *res;

	while (PQisBusy(pg->conn) == 0) {
		res = PQgetResult(pg->conn);
		if (res == NULL)
			return true;
		if (is_error(*kept)) {
			PQclear(res);
			continue;
		}
		PQclear(*kept);
		*kept = res;
		if (is_copy(res))
			return true;
	}
	return false;
}

static int
judge(const struct pg *pg, const char *doing, const PGresult *res)
{
	return res == NULL || is_error(res) ? pg_failed(pg, doing, res)
					    : EXIT_DONE;
}

int
pg_finish(struct pg *pg, const char *doing, PGresult **last)
{
	PGresult *kept = NULL;
	int rc;

	do
		rc = wait_result(pg, doing);
	while (rc == EXIT_DONE && !take_results(pg, &kept));
	if (rc == EXIT_DONE)
		rc = judge(pg, doing, kept);
	if (last != NULL)
		*last = kept;
	else
		PQclear(kept);
	return rc;
}

int
pg_collect(struct pg *pg, const char *doing, PGresult **kept, bool *done)
{
	*done = take_results(pg, kept);
	return *done ? judge(pg, doing, *kept) : EXIT_DONE;
}

int
pg_query(struct pg *pg, const char *doing, const char *sql, int n,
    const char *const *params, PGresult **res)
{
	int sent;

	if (res != NULL)
		*res = NULL;
	if (n > 0)
		sent = PQsendQueryParams(
		    pg->conn, sql, n, NULL, params, NULL, NULL, 0);
	else
		sent = PQsendQuery(pg->conn, sql);
	if (sent == 0)
		return pg_failed(pg, doing, NULL);
	return pg_finish(pg, doing, res);
}

int
pg_prepare(
    struct pg *pg, const char *doing, const char *sql, int n, const char **name)
{
	static const char *const names[PG_PREPARED] = {"a", "b", "c", "d"};
	size_t i = 0;

	while (pg->prepared[i] != sql && pg->prepared[i] != NULL)
		if (++i == PG_PREPARED) {
			log_error("could not %s: too many statements", doing);
			return EXIT_BUG;
		}
	*name = names[i];
	if (pg->prepared[i] == sql)
		return EXIT_DONE;
	pg->prepared[i] = sql;
	if (PQsendPrepare(pg->conn, *name, sql, n, NULL) == 0)
		return pg_failed(pg, doing, NULL);
	return pg_finish(pg, doing, NULL);
}

static int
send_calls(
    struct pg *pg, const char *doing, const struct pg_call *calls, size_t n)
{
	const char *names[PG_PREPARED];
	int rc;

	for (size_t i = 0; i < n; i++) {
		rc = pg_prepare(pg, doing, calls[i].sql, calls[i].n, &names[i]);
		if (rc != EXIT_DONE)
			return rc;
	}
	if (PQenterPipelineMode(pg->conn) == 0)
		return pg_failed(pg, doing, NULL);
	for (size_t i = 0; i < n; i++) {
		if (PQsendQueryPrepared(pg->conn, names[i], calls[i].n,
			calls[i].params, NULL, NULL, 0) == 0)
			return pg_failed(pg, doing, NULL);
	}
	return PQpipelineSync(pg->conn) == 0 ? pg_failed(pg, doing, NULL)
					     : EXIT_DONE;
}

int
pg_query_again(
    struct pg *pg, const char *doing, struct pg_call *calls, size_t n)
{
	int rc;

	for (size_t i = 0; i < n; i++)
		calls[i].res = NULL;
	rc = send_calls(pg, doing, calls, n);
	for (size_t i = 0; rc == EXIT_DONE && i < n; i++)
		rc = pg_finish(pg, doing, &calls[i].res);
	if (rc == EXIT_DONE)
		rc = wait_result(pg, doing);
	if (rc != EXIT_DONE)
		return rc;
	PQclear(PQgetResult(pg->conn)); /* the end of the pipeline */
	return PQexitPipelineMode(pg->conn) == 0 ? pg_failed(pg, doing, NULL)
						 : EXIT_DONE;
}

static bool
add_escaped(struct buf *b, char *escaped)
{
	if (escaped == NULL)
		return false;
	buf_adds(b, escaped);
	PQfreemem(escaped);
	return !b->failed;
}

bool
pg_add_literal(struct pg *pg, struct buf *b, struct view text)
{
	return add_escaped(b, PQescapeLiteral(pg->conn, text.p, text.n));
}

bool
pg_add_identifier(struct pg *pg, struct buf *b, struct view text)
{
	return add_escaped(b, PQescapeIdentifier(pg->conn, text.p, text.n));
}

void
pg_array_add(struct buf *b, struct view item)
{
	buf_adds(b, b->len == 0 ? "{\"" : ",\"");
	for (size_t i = 0; i < item.n; i++) {
		if (item.p[i] == '"' || item.p[i] == '\\')
			buf_addc(b, '\\');
		buf_addc(b, item.p[i]);
	}
	buf_addc(b, '"');
}

const char *
pg_array_end(struct buf *b)
{
	buf_adds(b, b->len == 0 ? "{}" : "}");
	return buf_str(b);
}

struct view
pg_value(const PGresult *res, int row, int column)
{
	return (struct view){PQgetvalue(res, row, column),
	    (size_t)PQgetlength(res, row, column)};
}
