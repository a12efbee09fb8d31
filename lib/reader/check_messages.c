#include "reader/check_messages.h"

#include "base/exitcode.h"
#include "reader/snapshot_seal.h"
#include "sql.h"

static const char subject[] = "messages";

static void
warn(struct findings *found, struct view functions)
{
	struct finding f = {.check = subject, .level = FINDING_WARNING};
	struct buf hint = BUF_INIT;

	buf_addf(&hint,
	    "Set PHILOTES_SNAPSHOT_KEY_FILE, or REVOKE EXECUTE ON FUNCTION "
	    "%.*s FROM PUBLIC, and GRANT it to the role that reads.",
	    VIEW_FMT(functions));
	f.hint = buf_str(&hint);
	findings_add(found, &f,
	    "every role may ask for snapshots and forge their messages");
	buf_release(&hint);
}

static int
look_at_rights(struct findings *found, struct pg *pg)
{
	const struct finding fine = {.check = subject};
	PGresult *res = NULL;
	int rc = pg_query(pg, "look up who may write messages",
	    SQL_CHECK_MESSAGES, 0, NULL, &res);

	if (rc == EXIT_DONE && PQgetisnull(res, 0, 0))
		findings_add(
		    found, &fine, "only roles with a grant may write them");
	else if (rc == EXIT_DONE)
		warn(found, pg_value(res, 0, 0));
	PQclear(res);
	return rc;
}

int
check_messages(struct findings *found, struct pg *pg, const char *key_file)
{
	const struct finding fine = {.check = subject};
	struct snapshot_key key = {0};
	int rc = snapshot_key_read(&key, key_file);

	if (rc != EXIT_DONE) {
		findings_add_logged(found, subject, rc);
		rc = EXIT_DONE;
	} else if (snapshot_key_given(&key)) {
		findings_add(found, &fine, "those of snapshots are sealed");
	} else {
		rc = look_at_rights(found, pg);
	}
	snapshot_key_release(&key);
	return rc;
}
