#include "pg/pg_look.h"

#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/signals.h"
#include "pg/pg.h"
#include "sql.h"

/* Waits for the socket; false: time ran out, or a stop was requested. */
static bool
ready(PGconn *conn, short events, int64_t until)
{
	while (!signals_stop_requested() && clock_left(until) > 0) {
		if (fdio_wait(PQsocket(conn), events, clock_left(until)) != 0)
			return true;
	}
	return false;
}

/* False: the server did not answer. */
static bool
connect_until(PGconn *conn, int64_t until)
{
	PostgresPollingStatusType next = PGRES_POLLING_WRITING;

	while (next != PGRES_POLLING_OK && next != PGRES_POLLING_FAILED) {
		if (!ready(conn,
			next == PGRES_POLLING_READING ? POLLIN : POLLOUT,
			until))
			return false;
		next = PQconnectPoll(conn);
	}
	/* only a refusal by the server holds an SQLSTATE */
	return next == PGRES_POLLING_OK ||
	    strstr(PQerrorMessage(conn), ":  ") != NULL;
}

/* Asks which sessions block the server process pid. */
static bool
ask(PGconn *conn, int64_t pid, int64_t until, struct buf *blockers)
{
	struct buf id = BUF_INIT;
	const char *params[1];
	PGresult *res;
	int sent = 0;

	buf_addf(&id, "%lld", (long long)pid);
	params[0] = buf_str(&id);
	if (params[0] != NULL)
		sent = PQsendQueryParams(
		    conn, SQL_BLOCKERS, 1, NULL, params, NULL, NULL, 0);
	buf_release(&id);
	while (sent != 0 && PQisBusy(conn) != 0) {
		if (!ready(conn, POLLIN, until) || PQconsumeInput(conn) == 0)
			return false;
	}
	res = sent != 0 ? PQgetResult(conn) : NULL;
	if (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1)
		buf_adds(blockers, PQgetvalue(res, 0, 0));
	PQclear(res);
	return sent != 0;
}

bool
pg_look(const struct pg *pg, int64_t ms, struct buf *blockers)
{
	const char *const keywords[] = {
	    "fallback_application_name", "dbname", "client_encoding", NULL};
	const char *const values[] = {"philotes", pg->conninfo, "UTF8", NULL};
	PGconn *conn = PQconnectStartParams(keywords, values, 1);
	int64_t until = clock_ms() + ms;
	bool answers = false;

	if (conn != NULL && PQstatus(conn) != CONNECTION_BAD) {
		PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
		answers = connect_until(conn, until);
	}
	if (answers && PQstatus(conn) == CONNECTION_OK)
		answers = ask(conn,
		    pg->backend != 0 ? pg->backend : PQbackendPID(pg->conn),
		    until, blockers);
	PQfinish(conn);
	return answers;
}
