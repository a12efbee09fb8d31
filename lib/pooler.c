#include "pooler.h"

#include "exitcode.h"
#include "log.h"
#include "num.h"
#include "sql.h"

#define ROUNDS 5

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
ask(struct pg *pg, int64_t *backend)
{
	PGresult *res;
	int rc = pg_query(
	    pg, "ask for the buffer's process", SQL_BACKEND, 0, NULL, &res);

	if (rc == EXIT_DONE && !num_parse_i64(pg_value(res, 0, 0), backend)) {
		log_error("could not ask for the buffer's process: unexpected "
			  "answer");
		rc = EXIT_BUG;
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
	int rc = pg_open(&other, t);

	for (int i = 0; rc == EXIT_DONE && i < ROUNDS; i++) {
		rc = ask(&other, &others);
		if (rc == EXIT_DONE)
			rc = ask(pg, &backend);
		if (rc == EXIT_DONE && (others == first || backend != first))
			rc = pooler_refuse();
	}
	pg_close(&other);
	return rc;
}

int
pooler_check(struct pg *pg, const struct pg_target *t)
{
	int rc = ask(pg, &pg->backend);

	/* a pooler makes up the process that it tells to its clients */
	if (rc != EXIT_DONE || pg->backend == PQbackendPID(pg->conn))
		return rc;
	return compare(pg, t);
}
