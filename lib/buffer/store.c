#include "buffer/store.h"

#include "base/exitcode.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/num.h"
#include "base/version.h"
#include "buffer/pooler.h"
#include "pg/pg_connect.h"
#include "sql.h"
#include "stream/event.h"

const char store_begin[] =
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; "
    "SET LOCAL synchronous_commit = on; SET LOCAL statement_timeout = 0; "
    "SET LOCAL lock_timeout = '5s'; "
    "SET LOCAL idle_in_transaction_session_timeout = 0; "
    "SET LOCAL search_path = pg_catalog, pg_temp; ";

static const char make_schema[] =
    "Create the schema with philotes init, or load 001_schema.sql with psql.";

/* The schema has no function schema_version(). */
static void
refuse_schema(struct pg *pg)
{
	PGresult *res;
	int rc = pg_query(pg, "look for the plain table of the buffer",
	    SQL_PLAIN_TABLE, 0, NULL, &res);

	if (rc == EXIT_DONE && view_eq(pg_value(res, 0, 0), VIEW_LIT("t"))) {
		log_error("could not use the buffer: it has the plain table "
			  "philotes.cdc_events");
		log_hint("philotes init converts it, with all its events.");
	} else if (rc == EXIT_DONE) {
		log_error("could not use the buffer: its schema philotes is "
			  "incomplete, or not one of this program");
		log_hint("%s", make_schema);
	}
	PQclear(res);
}

int
store_check_schema(struct pg *pg)
{
	PGresult *res;
	uint64_t version = PHILOTES_SCHEMA;
	int rc;

	pg->expected = "42883";
	rc = pg_query(pg, "read the schema version of the buffer",
	    SQL_SCHEMA_VERSION, 0, NULL, &res);
	pg->expected = NULL;
	if (pg_is_state(res, "42883")) {
		refuse_schema(pg);
	} else if (rc == EXIT_CONFIG) {
		log_hint("%s", make_schema);
	} else if (rc == EXIT_DONE &&
	    (!num_parse_u64(pg_value(res, 0, 0), &version) ||
		version != PHILOTES_SCHEMA)) {
		log_error("could not use the schema philotes: version %d is "
			  "expected, %.*s was found",
		    PHILOTES_SCHEMA, VIEW_FMT(pg_value(res, 0, 0)));
		log_hint(version < PHILOTES_SCHEMA
			? "philotes init upgrades it."
			: "A newer version created it: use its tools.");
		rc = EXIT_CONFIG;
	}
	PQclear(res);
	return rc;
}

static int
set_up(struct pg *pg)
{
	return pg_query(
	    pg, "set up the session on the buffer", SQL_SESSION, 0, NULL, NULL);
}

int
store_connect(struct pg *pg, const char *conninfo)
{
	const struct pg_target target = {"buffer", conninfo, false};
	int rc = pg_connect(pg, &target);

	if (rc == EXIT_DONE)
		rc = pooler_check(pg, &target);
	return rc == EXIT_DONE ? set_up(pg) : rc;
}

int
store_open(struct pg *pg, const char *conninfo)
{
	int rc = store_connect(pg, conninfo);

	return rc == EXIT_DONE ? store_check_schema(pg) : rc;
}

int
store_open_beside(struct pg *pg, const char *conninfo)
{
	const struct pg_target target = {"buffer", conninfo, false};
	int rc = pg_connect(pg, &target);

	if (rc == EXIT_DONE)
		rc = set_up(pg);
	return rc == EXIT_DONE ? store_check_schema(pg) : rc;
}

int
store_ensure_partitions(const char *conninfo, int64_t *end, int64_t *width)
{
	static const char doing[] = "create partitions of philotes.cdc_log";
	struct pg pg = {0};
	PGresult *res = NULL;
	int rc = store_open_beside(&pg, conninfo);

	if (rc == EXIT_DONE)
		rc = pg_query(&pg, doing, SQL_ENSURE_PARTITIONS, 0, NULL, &res);
	if (rc == EXIT_DONE &&
	    (!num_parse_i64(pg_value(res, 0, 0), end) ||
		!num_parse_i64(pg_value(res, 0, 1), width))) {
		log_error("could not %s: unexpected answer", doing);
		rc = EXIT_BUG;
	}
	PQclear(res);
	pg_close(&pg);
	return rc;
}

static const char *
cstr(struct buf *b, struct view v)
{
	buf_clear(b);
	buf_addv(b, v);
	return buf_str(b);
}

int
store_state(struct pg *pg, struct view source, struct store_state *s)
{
	struct buf name = BUF_INIT;
	const char *params[] = {cstr(&name, source)};
	PGresult *res;
	int rc = pg_query(pg, "read the watermark of the source",
	    SQL_SOURCE_STATE, 1, params, &res);
	uint64_t timeline = 0;

	buf_clear(&s->system_id);
	buf_clear(&s->slot);
	s->has_checkpoint = false;
	s->checkpoint = s->commit_lsn = s->seq = s->stored = 0;
	s->timeline = 0;
	if (rc == EXIT_DONE && PQntuples(res) > 0) {
		buf_addv(&s->system_id, pg_value(res, 0, 0));
		buf_addv(&s->slot, pg_value(res, 0, 1));
		s->has_checkpoint = lsn_parse(
		    pg_value(res, 0, 2), &s->checkpoint);
		if (num_parse_u64(pg_value(res, 0, 3), &timeline))
			s->timeline = (uint32_t)timeline;
		lsn_parse(pg_value(res, 0, 4), &s->commit_lsn);
		num_parse_u64(pg_value(res, 0, 5), &s->seq);
		lsn_parse(pg_value(res, 0, 6), &s->stored);
	}
	PQclear(res);
	buf_release(&name);
	return rc;
}

void
store_state_release(struct store_state *s)
{
	buf_release(&s->system_id);
	buf_release(&s->slot);
}

int
store_lock_writer(struct pg *pg, struct view source)
{
	struct buf name = BUF_INIT;
	const char *params[] = {cstr(&name, source)};
	PGresult *res;
	int rc = pg_query(pg, "lock the source for writing", SQL_LOCK_WRITER, 1,
	    params, &res);

	if (rc == EXIT_DONE && !view_eq(pg_value(res, 0, 0), VIEW_LIT("t"))) {
		log_error("could not lock the source \"%.*s\": another "
			  "writer has it, the buffer's backend %.*s",
		    VIEW_FMT(source), VIEW_FMT(pg_value(res, 0, 1)));
		log_hint("Stop that writer; if it is gone already, wait until "
			 "the server notices: see pg_stat_activity.");
		rc = EXIT_RETRY;
	}
	PQclear(res);
	buf_release(&name);
	return rc;
}

int
store_start_source(
    struct pg *pg, const struct stream_start *start, const char *kind)
{
	struct buf source = BUF_INIT, system = BUF_INIT, slot = BUF_INIT;
	struct lsn_text checkpoint = lsn_text(start->lsn);
	char timeline[12];
	const char *params[] = {cstr(&source, start->source_id),
	    cstr(&system, start->system_id), cstr(&slot, start->slot),
	    checkpoint.s, timeline, kind};
	int rc;

	snprintf(timeline, sizeof(timeline), "%u", (unsigned)start->timeline);
	rc = pg_query(
	    pg, "start the source in the buffer", store_begin, 0, NULL, NULL);
	if (rc == EXIT_DONE)
		rc = pg_query(pg, "start the source in the buffer",
		    SQL_START_SOURCE, 6, params, NULL);
	if (rc == EXIT_DONE)
		rc = pg_query(pg, "start the source in the buffer", "COMMIT", 0,
		    NULL, NULL);
	buf_release(&source);
	buf_release(&system);
	buf_release(&slot);
	return rc;
}
