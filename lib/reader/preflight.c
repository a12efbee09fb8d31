#include "reader/preflight.h"

#include "base/exitcode.h"
#include "base/log.h"
#include "base/lsn.h"
#include "sql.h"

/* Columns of preflight.sql. */
enum {
	P_VERSION,
	P_WAL_LEVEL,
	P_PLUGIN,
	P_OURS,
	P_LOST,
	P_CONFIRMED,
	P_ACTIVE_PID,
	P_PUBLICATION,
	P_SLOT,
};

struct preflight {
	const char *slot;
	const char *publication;
	struct findings *found;
};

/* The first good minor release of each major version.  Older ones lose rows
 * when a catalog change must be passed on to concurrent transactions (fixed in
 * 14.18, 15.13, 16.9, 17.5), or run out of memory then (fixed one release
 * later). */
static const int good_versions[] = {140019, 150014, 160010, 170006};

static void
look_at_server(
    const struct preflight *p, const PGconn *conn, const PGresult *res)
{
	struct finding f = {.check = "server"};
	struct view version = pg_value(res, 0, P_VERSION);
	int number = PQserverVersion(conn);
	const size_t n = sizeof(good_versions) / sizeof(*good_versions);

	for (size_t i = 0; i < n; i++) {
		if (number / 10000 != good_versions[i] / 10000 ||
		    number >= good_versions[i])
			continue;
		f.level = FINDING_WARNING;
		f.hint = "Update it: see the release notes on logical "
			 "decoding.";
		findings_add(p->found, &f,
		    "PostgreSQL %.*s may lose changes or fail to decode them "
		    "when tables are altered; %d.%d does not",
		    VIEW_FMT(version), good_versions[i] / 10000,
		    good_versions[i] % 10000);
		return;
	}
	findings_add(p->found, &f, "PostgreSQL %.*s", VIEW_FMT(version));
}

static void
look_at_wal_level(const struct preflight *p, const PGresult *res)
{
	struct finding f = {.check = "wal_level"};
	struct view level = pg_value(res, 0, P_WAL_LEVEL);

	if (!view_eq(level, VIEW_LIT("logical"))) {
		f.level = FINDING_ERROR;
		f.code = EXIT_CONFIG;
		f.hint = "ALTER SYSTEM SET wal_level = logical, and restart "
			 "the server.";
		findings_add(p->found, &f,
		    "could not use the server: its wal_level is %.*s",
		    VIEW_FMT(level));
		return;
	}
	findings_add(p->found, &f, "%.*s", VIEW_FMT(level));
}

static void
refuse_slot(
    const struct preflight *p, int code, const char *hint, const char *reason)
{
	const struct finding f = {.check = "slot",
	    .level = FINDING_ERROR,
	    .code = code,
	    .hint = hint};

	findings_add(p->found, &f,
	    "could not use the replication slot \"%s\": %s", p->slot, reason);
}

/* Explains an invalidation_reason; one that is unknown here stays as it is. */
static struct view
lost_why(struct view word)
{
	static const struct {
		const char *word, *text;
	} reasons[] = {
	    {"wal_removed", "the server removed WAL it needs"},
	    {"rows_removed", "the server removed catalog rows that it needs"},
	    {"wal_level_insufficient",
		"the server's wal_level was not logical for a time"},
	    {"idle_timeout",
		"nobody read it for longer than the server's "
		"idle_replication_slot_timeout"},
	    {"conflict", "it conflicted with the server's recovery"},
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
		if (view_eq(word, view_of(reasons[i].word)))
			return view_of(reasons[i].text);
	}
	return word;
}

static void
refuse_lost(const struct preflight *p, struct view word)
{
	const struct finding f = {.check = "slot",
	    .level = FINDING_ERROR,
	    .code = EXIT_OPERATOR,
	    .hint = "Changes are missing.  \"philotes repair\" makes it anew "
		    "and reads all tables again."};

	findings_add(p->found, &f,
	    "could not use the replication slot \"%s\": it is lost: %.*s",
	    p->slot, VIEW_FMT(lost_why(word)));
}

static void
look_at_slot(
    const struct preflight *p, const PGresult *res, uint64_t *confirmed)
{
	const struct finding fine = {.check = "slot"};
	char reason[64];

	if (PQgetisnull(res, 0, P_SLOT)) {
		refuse_slot(p, EXIT_OPERATOR,
		    "Create it with pg-cdc-read --create; changes made before "
		    "that are not captured.",
		    "it does not exist");
	} else if (!view_eq(pg_value(res, 0, P_PLUGIN), VIEW_LIT("pgoutput")) ||
	    !view_eq(pg_value(res, 0, P_OURS), VIEW_LIT("t"))) {
		refuse_slot(p, EXIT_CONFIG, "Name another slot with --slot.",
		    "it is not a pgoutput slot of this database");
	} else if (!PQgetisnull(res, 0, P_LOST)) {
		refuse_lost(p, pg_value(res, 0, P_LOST));
	} else if (!PQgetisnull(res, 0, P_ACTIVE_PID)) {
		snprintf(reason, sizeof(reason),
		    "it is active for process %.*s of the server",
		    VIEW_FMT(pg_value(res, 0, P_ACTIVE_PID)));
		refuse_slot(p, EXIT_RETRY,
		    "Another pg-cdc-read reads it, or the server has not "
		    "noticed yet that the last one is gone.",
		    reason);
	} else if (!lsn_parse(pg_value(res, 0, P_CONFIRMED), confirmed)) {
		refuse_slot(p, EXIT_RETRY,
		    "Creating a slot waits for open transactions to end.",
		    "it is still being created");
	} else {
		findings_add(p->found, &fine, "\"%s\", confirmed up to %s",
		    p->slot, lsn_text(*confirmed).s);
	}
}

static void
look_at_publication(const struct preflight *p, const PGresult *res)
{
	struct finding f = {.check = "publication"};

	if (PQgetisnull(res, 0, P_PUBLICATION)) {
		f.level = FINDING_ERROR;
		f.code = EXIT_CONFIG;
		f.hint = "Create it with pg-cdc-read --create; a slot older "
			 "than its publication must be dropped first.";
		findings_add(p->found, &f,
		    "could not use the publication \"%s\": it does not exist",
		    p->publication);
		return;
	}
	findings_add(p->found, &f, "\"%s\"", p->publication);
}

/* With literals, because a walsender takes no query parameters. */
static int
query(const struct preflight *p, struct pg *pg, PGresult **res)
{
	static const char doing[] = "look up slot and publication";
	struct buf sql = BUF_INIT;
	int rc;

	*res = NULL;
	buf_adds(&sql, "WITH asked (slot, publication) AS (VALUES (");
	pg_add_literal(pg, &sql, view_of(p->slot));
	buf_adds(&sql, "::name, ");
	pg_add_literal(pg, &sql, view_of(p->publication));
	buf_adds(&sql, "::name)) " SQL_PREFLIGHT);
	if (buf_str(&sql) == NULL) {
		log_error("could not %s: out of memory", doing);
		rc = EXIT_OS;
	} else {
		rc = pg_query(pg, doing, sql.data, 0, NULL, res);
	}
	buf_release(&sql);
	return rc;
}

int
preflight_look(struct findings *found, struct pg *pg, const char *slot,
    const char *publication, uint64_t *confirmed)
{
	const struct preflight p = {slot, publication, found};
	PGresult *res;
	int rc = query(&p, pg, &res);

	if (rc == EXIT_DONE) {
		look_at_server(&p, pg->conn, res);
		look_at_wal_level(&p, res);
		look_at_slot(&p, res, confirmed);
		look_at_publication(&p, res);
	}
	PQclear(res);
	return rc != EXIT_DONE ? rc : found->rc;
}

int
preflight_start(struct pg *pg, const char *slot, const char *publication,
    uint64_t *confirmed)
{
	struct findings found = {0};

	return preflight_look(&found, pg, slot, publication, confirmed);
}
