#include "reader/check_snapshot.h"

#include "base/exitcode.h"
#include "sql.h"

int
check_snapshot(struct findings *found, struct pg *pg, const char *publication)
{
	const struct finding fine = {.check = "snapshot"};
	struct finding f = {.check = "snapshot", .level = FINDING_WARNING};
	const char *params[] = {publication};
	PGresult *res;
	int rc = pg_query(pg, "look at what snapshots need", SQL_CHECK_SNAPSHOT,
	    1, params, &res);

	for (int i = 0; rc == EXIT_DONE && i < PQntuples(res); i++) {
		f.hint = PQgetvalue(res, i, 1);
		findings_add(found, &f, "%.*s", VIEW_FMT(pg_value(res, i, 0)));
	}
	if (rc == EXIT_DONE && PQntuples(res) == 0)
		findings_add(found, &fine,
		    "the role may read the rows of every published table");
	PQclear(res);
	return rc;
}
