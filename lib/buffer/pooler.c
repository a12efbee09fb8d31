#include "buffer/pooler.h"

#include "base/exitcode.h"
#include "base/log.h"
#include "base/num.h"
#include "base/signals.h"
#include "sql.h"

#define ROUNDS    5
#define SECOND_MS 10000 /* limit for getting a second session */

static const char identify[] = "identify the session";
static const char second[] = "get a second session from the pooler";

int
pooler_refuse(void)
{
	log_error("could not use the buffer: transaction pooling is not "
		  "supported");
	log_hint("Connect to the server directly, or use session pooling "
		 "(pool_mode = session in pgbouncer).");
	return EXIT_CONFIG;
}

static int
ask(struct pg *pg, const char *doing, int64_t *backend)
{
	PGresult *res;
	int rc = pg_query(pg, doing, SQL_BACKEND, 0, NULL, &res);

	if (rc == EXIT_DONE && !num_parse_i64(pg_value(res, 0, 0), backend)) {
		log_error("could not %s: unexpected answer", doing);
		rc = EXIT_BUG;
	}
	PQclear(res);
	return rc;
}

/*
 * The second connection got no server session within SECOND_MS.  If the first
 * one is the only session of our role, the pool is limited to one, and a retry
 * does not help.  Otherwise a session may become free later.
 */
static int
explain_silence(struct pg *pg)
{
	PGresult *res;
	int rc = pg_query(pg, "count the sessions on the buffer",
	    SQL_SESSIONS_BESIDE, 0, NULL, &res);

	if (rc == EXIT_DONE) {
		log_hint("Each tool needs two sessions, and the connection "
			 "pooler allows one: raise its limit "
			 "(default_pool_size in pgbouncer).");
		rc = view_eq(pg_value(res, 0, 0), VIEW_LIT("0")) ? EXIT_CONFIG
								 : EXIT_RETRY;
	}
	PQclear(res);
	return rc;
}

/*
 * Alternates between two connections.  With session pooling each keeps its own
 * server process.  With transaction pooling the second one gets the process
 * that the first one used last, unless another client takes it in between;
 * hence several rounds.
 */
static int
compare(struct pg *pg, const struct pg_target *t)
{
	struct pg other = {0};
	int64_t first = pg->backend, backend = first, others = 0;
	int rc = pg_connect(&other, t);

	if (rc == EXIT_DONE &&
	    (other.patience.limit == 0 || other.patience.limit > SECOND_MS))
		other.patience.limit = SECOND_MS;
	for (int i = 0; rc == EXIT_DONE && i < ROUNDS; i++) {
		rc = ask(&other, second, &others);
		if (rc == EXIT_RETRY && !signals_stop_requested())
			rc = explain_silence(pg);
		else if (rc == EXIT_DONE)
			rc = ask(pg, identify, &backend);
		if (rc == EXIT_DONE && (others == first || backend != first))
			rc = pooler_refuse();
	}
	pg_close(&other);
	return rc;
}

int
pooler_check(struct pg *pg, const struct pg_target *t)
{
	int rc = ask(pg, identify, &pg->backend);

	/* a pooler tells its clients a process ID of its own making */
	if (rc != EXIT_DONE || pg->backend == PQbackendPID(pg->conn))
		return rc;
	return compare(pg, t);
}
