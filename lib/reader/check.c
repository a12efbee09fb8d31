#include "reader/check.h"

#include "base/exitcode.h"
#include "base/findings.h"
#include "reader/check_messages.h"
#include "reader/check_snapshot.h"
#include "reader/preflight.h"
#include "reader/source.h"
#include "reader/walsender.h"
#include "sql.h"

#define PEEK_LIMIT "SET statement_timeout = '5s'"

/* Columns of check_wal.sql, check_publication.sql and source_tables.sql. */
enum {
	W_ENCODING,
	W_SLOTS_FREE,
	W_SLOTS,
	W_SENDERS_FREE,
	W_SENDERS,
	W_STATUS,
	W_RETAINED,
	W_SAFE,
};
enum {
	P_UNPUBLISHED,
	P_NEEDS_IDENTITY,
	P_TABLES,
	P_PARTITIONS,
	P_PARTITIONED,
	P_BUFFERS_OWN,
	P_YOUNG,
	P_ALL_TABLES,
};
enum { T_SCHEMA, T_TABLE, T_STATE, T_PUBLISHED };

struct check {
	const struct provision_options *o;
	struct pg pg;        /* for queries */
	struct pg walsender; /* as a reader opens it */
	struct findings found;
	bool skipped; /* the server decodes without the publication */
};

/* Connections */

static int
connect_source(struct check *c)
{
	const struct finding fine = {.check = "connection"};
	int rc = source_connect(&c->pg, c->o->conninfo);

	if (rc == EXIT_DONE)
		findings_add(&c->found, &fine, "database \"%s\" as role \"%s\"",
		    PQdb(c->pg.conn), PQuser(c->pg.conn));
	else
		findings_add_logged(&c->found, "connection", rc);
	return rc;
}

static bool
connect_walsender(struct check *c)
{
	const struct finding fine = {.check = "replication"};
	struct source_system system = {0};
	int rc = source_connect_walsender(&c->walsender, c->o->conninfo);

	if (rc == EXIT_DONE)
		rc = source_identify(&c->walsender, &system);
	if (rc == EXIT_DONE)
		findings_add(&c->found, &fine,
		    "the role may replicate, system %.*s, timeline %u",
		    VIEW_FMT(buf_view(&system.system_id)),
		    (unsigned)system.timeline);
	else
		findings_add_logged(&c->found, "replication", rc);
	source_system_release(&system);
	return rc == EXIT_DONE;
}

/* The publication */

static bool
is_some(const PGresult *res, int column)
{
	return !PQgetisnull(res, 0, column) &&
	    !view_eq(pg_value(res, 0, column), VIEW_LIT("0")) &&
	    pg_value(res, 0, column).n > 0;
}

static void
on_peek_notice(void *arg, const PGresult *res)
{
	struct check *c = arg;

	c->skipped = c->skipped || walsender_skips(res, c->o->publication);
}

/*
 * A slot decodes with the catalogs as of its WAL position, where a publication
 * created later does not exist.  Only decoding shows that for sure: the slot's
 * catalog_xmin may be older than the slot, because other slots hold it back.
 * So this peeks at the slot if the publication may be younger.
 */
static int
look_for_older_slot(struct check *c, const PGresult *res)
{
	static const char doing[] = "try to read the slot";
	const struct finding f = {.check = "slot",
	    .level = FINDING_ERROR,
	    .code = EXIT_CONFIG,
	    .hint = "Drop both with pg-cdc-read --drop, create them again with "
		    "--create, and run buffer-write once with --accept-gap."};
	const char *params[] = {c->o->slot, c->o->publication};
	PQnoticeReceiver before;
	PGresult *peeked = NULL;
	int rc;

	if (c->found.rc != EXIT_DONE ||
	    !view_eq(pg_value(res, 0, P_YOUNG), VIEW_LIT("t")))
		return EXIT_DONE;
	rc = pg_query(&c->pg, doing, PEEK_LIMIT, 0, NULL, NULL);
	before = PQsetNoticeReceiver(c->pg.conn, on_peek_notice, c);
	c->pg.expected = ""; /* log no error: the slot may be in use */
	if (rc == EXIT_DONE)
		rc = pg_query(&c->pg, doing, SQL_PEEK, 2, params, &peeked);
	c->pg.expected = NULL;
	PQsetNoticeReceiver(c->pg.conn, before, NULL);
	if (pg_is_state(peeked, "42704") || c->skipped)
		findings_add(&c->found, &f,
		    "could not use the replication slot \"%s\": it is older "
		    "than the publication \"%s\"",
		    c->o->slot, c->o->publication);
	if (peeked != NULL)
		rc = pg_query(
		    &c->pg, doing, "SET statement_timeout = 0", 0, NULL, NULL);
	PQclear(peeked);
	return rc;
}

/* Before version 15 a walsender that has found a table unpublished keeps that
 * result for the rest of the stream. */
static void
look_for_late_partitions(struct check *c, const PGresult *res)
{
	const struct finding f = {.check = "partitions",
	    .level = FINDING_WARNING,
	    .hint = "Publish all tables, attach such tables empty, or use "
		    "PostgreSQL 15."};

	if (PQserverVersion(c->pg.conn) >= 150000 ||
	    view_eq(pg_value(res, 0, P_ALL_TABLES), VIEW_LIT("t")) ||
	    (!is_some(res, P_PARTITIONS) && !is_some(res, P_PARTITIONED)))
		return;
	findings_add(&c->found, &f,
	    "changes of a table are lost if it is attached as a partition "
	    "after earlier changes of it were read");
}

static void
look_at_partitions(struct check *c, const PGresult *res)
{
	const struct finding f = {.check = "partitions"};

	if (is_some(res, P_PARTITIONS))
		findings_add(&c->found, &f,
		    "%.*s partitions; their events carry the partition's name",
		    VIEW_FMT(pg_value(res, 0, P_PARTITIONS)));
	if (is_some(res, P_PARTITIONED))
		findings_add(&c->found, &f,
		    "%.*s partitioned tables; their events carry the root's "
		    "name",
		    VIEW_FMT(pg_value(res, 0, P_PARTITIONED)));
	look_for_late_partitions(c, res);
}

static void
look_at_contents(struct check *c, const PGresult *res)
{
	struct finding f = {.check = "tables"};
	struct view tables = pg_value(res, 0, P_TABLES);

	f.level = is_some(res, P_TABLES) ? FINDING_OK : FINDING_WARNING;
	findings_add(&c->found, &f, "%.*s published", VIEW_FMT(tables));
	f.level = FINDING_WARNING;
	if (is_some(res, P_UNPUBLISHED))
		findings_add(&c->found, &f, "%.*s not published",
		    VIEW_FMT(pg_value(res, 0, P_UNPUBLISHED)));
	if (!is_some(res, P_BUFFERS_OWN))
		return;
	f.hint = "Remove the schema philotes from the publication.";
	findings_add(&c->found, &f,
	    "%.*s tables of the buffer itself are published: every event "
	    "causes another",
	    VIEW_FMT(pg_value(res, 0, P_BUFFERS_OWN)));
}

static int
look_at_identities(struct check *c)
{
	const struct finding f = {.check = "identity",
	    .level = FINDING_WARNING,
	    .hint = "UPDATE and DELETE fail on the source, or do not identify "
		    "the row.  Give the table a primary key without generated "
		    "columns, or ALTER TABLE ... REPLICA IDENTITY FULL."};
	const struct finding fine = {.check = "identity"};
	const char *params[] = {c->o->publication};
	PGresult *res;
	bool all = true;
	int rc = pg_query(&c->pg, "list the tables of the source",
	    SQL_SOURCE_TABLES, 1, params, &res);

	for (int i = 0; rc == EXIT_DONE && i < PQntuples(res); i++) {
		if (!view_eq(pg_value(res, i, T_PUBLISHED), VIEW_LIT("t")) ||
		    view_eq(pg_value(res, i, T_STATE), VIEW_LIT("ok")))
			continue;
		all = false;
		findings_add(&c->found, &f, "\"%.*s\".\"%.*s\": %.*s",
		    VIEW_FMT(pg_value(res, i, T_SCHEMA)),
		    VIEW_FMT(pg_value(res, i, T_TABLE)),
		    VIEW_FMT(pg_value(res, i, T_STATE)));
	}
	PQclear(res);
	if (rc == EXIT_DONE && all)
		findings_add(&c->found, &fine,
		    "every published table has a usable replica identity");
	return rc;
}

static int
look_at_publication(struct check *c)
{
	const char *params[] = {c->o->publication, c->o->slot};
	PGresult *res;
	int rc = pg_query(&c->pg, "look into the publication",
	    SQL_CHECK_PUBLICATION, 2, params, &res);

	if (rc == EXIT_DONE && PQntuples(res) == 1) {
		rc = look_for_older_slot(c, res);
		look_at_contents(c, res);
		look_at_partitions(c, res);
		if (rc == EXIT_DONE &&
		    view_eq(pg_value(res, 0, P_NEEDS_IDENTITY), VIEW_LIT("t")))
			rc = look_at_identities(c);
		if (rc == EXIT_DONE)
			rc = check_snapshot(
			    &c->found, &c->pg, c->o->publication);
	}
	PQclear(res);
	return rc;
}

static void
look_at_list(struct check *c)
{
	const struct finding fine = {.check = "tables"};
	PGresult *left_out = NULL;
	int rc = source_left_out(
	    &c->walsender, c->o->publication, c->o->tables, &left_out);

	if (rc == EXIT_DONE)
		findings_add(&c->found, &fine,
		    "%d published tables left out by --tables",
		    PQntuples(left_out));
	else
		findings_add_logged(&c->found, "tables", rc);
	PQclear(left_out);
}

/* EXPLAIN checks the permission without writing a heartbeat. */
static void
look_at_heartbeat(struct check *c)
{
	const struct finding fine = {.check = "heartbeat"};
	int rc = pg_query(&c->pg, "send a heartbeat to the source",
	    "EXPLAIN " SQL_HEARTBEAT, 0, NULL, NULL);

	if (rc == EXIT_DONE)
		findings_add(&c->found, &fine, "the role may write heartbeats");
	else
		findings_add_logged(&c->found, "heartbeat", rc);
}

/* Resources of the server */

static void
look_at_room(struct check *c, const PGresult *res)
{
	struct finding f = {.check = "slots"};
	bool free_slot = is_some(res, W_SLOTS_FREE);

	if (!free_slot && PQgetisnull(res, 0, W_STATUS)) {
		f.level = FINDING_WARNING;
		f.hint = "Raise max_replication_slots, or drop a slot.";
	}
	findings_add(&c->found, &f, "%.*s of %.*s are free",
	    VIEW_FMT(pg_value(res, 0, W_SLOTS_FREE)),
	    VIEW_FMT(pg_value(res, 0, W_SLOTS)));
	f = (struct finding){.check = "senders"};
	findings_add(&c->found, &f, "%.*s of %.*s are free",
	    VIEW_FMT(pg_value(res, 0, W_SENDERS_FREE)),
	    VIEW_FMT(pg_value(res, 0, W_SENDERS)));
}

static void
look_at_wal(struct check *c, const PGresult *res)
{
	struct finding f = {.check = "wal"};
	struct view status = pg_value(res, 0, W_STATUS);
	struct view retained = pg_value(res, 0, W_RETAINED);

	if (status.n == 0 || view_eq(status, VIEW_LIT("lost")))
		return;
	if (view_eq(status, VIEW_LIT("unreserved"))) {
		f.level = FINDING_WARNING;
		f.hint = "Read the slot at once: the next checkpoint of the "
			 "server removes WAL that it needs.";
		findings_add(&c->found, &f,
		    "%.*s held back by the slot, more than the server keeps "
		    "for it",
		    VIEW_FMT(retained));
	} else if (PQgetisnull(res, 0, W_SAFE)) {
		findings_add(&c->found, &f,
		    "%.*s held back by the slot, without a limit",
		    VIEW_FMT(retained));
	} else {
		findings_add(&c->found, &f,
		    "%.*s held back by the slot; it is lost after %.*s more",
		    VIEW_FMT(retained), VIEW_FMT(pg_value(res, 0, W_SAFE)));
	}
}

static void
look_at_encoding(struct check *c, const PGresult *res)
{
	struct finding f = {.check = "encoding"};
	struct view encoding = pg_value(res, 0, W_ENCODING);

	if (view_eq(encoding, VIEW_LIT("SQL_ASCII"))) {
		f.level = FINDING_WARNING;
		f.hint = "pg-cdc-read exits with 69 at a value that is not "
			 "UTF-8.";
	}
	findings_add(&c->found, &f, "%.*s", VIEW_FMT(encoding));
}

static int
look_at_rest(struct check *c)
{
	const char *params[] = {c->o->slot};
	PGresult *res;
	int rc = pg_query(&c->pg, "look at the source's resources",
	    SQL_CHECK_WAL, 1, params, &res);

	if (rc == EXIT_DONE && PQntuples(res) == 1) {
		look_at_encoding(c, res);
		look_at_room(c, res);
		look_at_wal(c, res);
	}
	PQclear(res);
	return rc;
}

/* In the order in which a reader meets the errors. */
static int
look(struct check *c)
{
	uint64_t confirmed;
	bool replicates;
	int rc = connect_source(c);

	if (rc != EXIT_DONE)
		return rc;
	replicates = connect_walsender(c);
	rc = preflight_look(
	    &c->found, &c->pg, c->o->slot, c->o->publication, &confirmed);
	if (rc != EXIT_DONE && rc != c->found.rc)
		return rc;
	rc = look_at_publication(c);
	if (c->found.rc == EXIT_DONE && replicates && c->o->tables != NULL)
		look_at_list(c);
	if (c->found.rc == EXIT_DONE && c->o->heartbeat)
		look_at_heartbeat(c);
	if (rc == EXIT_DONE)
		rc = check_messages(&c->found, &c->pg, c->o->key_file);
	if (rc == EXIT_DONE)
		rc = look_at_rest(c);
	return c->found.rc != EXIT_DONE ? c->found.rc : rc;
}

int
check_source(const struct provision_options *o)
{
	struct check c = {.o = o};
	int rc, found;

	findings_begin(&c.found);
	rc = look(&c);
	pg_close(&c.walsender);
	pg_close(&c.pg);
	found = findings_end(&c.found);
	return found != EXIT_DONE ? found : rc;
}
