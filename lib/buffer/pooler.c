#include "buffer/pooler.h"

#include "base/exitcode.h"
#include "base/log.h"
#include "base/num.h"
#include "base/signals.h"
#include "sql.h"

#define ROUNDS    5
#define SECOND_MS 10000 /* for a second session */

static const char identify[] = "identify the session";
static const char second[] = "get a second session from the pooler";

int
pooler_refuse(void)
{
	log_error("could not use the buffer: a connection pooler gives the "
		  "session to others between transactions");
	log_hint("Connect to the server itself, or pool by session "
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
 * Another connection got no session of the server, while ours has one.  If that
 * is the only one of our role, the pool has no more for us; if not, there may
 * be one another time.
 */
static int
explain_silence(struct pg *pg)
{
	PGresult *res;
	int rc = pg_query(pg, "count the sessions on the buffer",
	    SQL_SESSIONS_BESIDE, 0, NULL, &res);

	if (rc == EXIT_DONE) {
		log_hint("A connection pooler gives us one session at a time, "
			 "and each tool needs two: raise its limit "
			 "(default_pool_size in pgbouncer).");
		rc = view_eq(pg_value(res, 0, 0), VIEW_LIT("0")) ? EXIT_CONFIG
								 : EXIT_RETRY;
	}
	PQclear(res);
	return rc;
}

/* Two connections that are never given the same process, and never another,
 * have sessions of their own.  A pooler that shares hands on the one used last,
 * unless somebody else comes between, hence the rounds. */
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

	/* a pooler makes up the process that it tells to its clients */
	if (rc != EXIT_DONE || pg->backend == PQbackendPID(pg->conn))
		return rc;
	return compare(pg, t);
}
