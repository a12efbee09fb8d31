#include "reader/source.h"

#include <stdio.h>
#include <string.h>

#include "base/exitcode.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/num.h"
#include "pg/pg_connect.h"
#include "pg/pg_remedy.h"
#include "sql.h"

static int
connect_to(struct pg *pg, const char *conninfo, bool replication)
{
	const struct pg_target target = {"source", conninfo, replication};
	int rc = pg_connect(pg, &target);

	if (rc == EXIT_DONE)
		rc = pg_query(pg, "set up the session on the source",
		    SQL_SESSION_SOURCE, 0, NULL, NULL);
	return rc;
}

int
source_connect(struct pg *pg, const char *conninfo)
{
	return connect_to(pg, conninfo, false);
}

int
source_connect_walsender(struct pg *pg, const char *conninfo)
{
	return connect_to(pg, conninfo, true);
}

bool
source_turned_away(const char *conninfo)
{
	const struct pg_target target = {"source", conninfo, false};

	return pg_connect_turned_away(&target);
}

/* A timeline history file: lines "TIMELINE<tab>SWITCH-POINT<tab>REASON". */
static void
add_history(struct buf *b, struct view file)
{
	while (file.n > 0) {
		const char *nl = memchr(file.p, '\n', file.n);
		size_t n = nl != NULL ? (size_t)(nl - file.p) : file.n;
		struct view line = {file.p, n}, timeline = {file.p, 0};
		uint64_t number, lsn;

		file = (struct view){
		    file.p + n + (nl != NULL), file.n - n - (nl != NULL)};
		while (timeline.n < line.n && line.p[timeline.n] != '\t')
			timeline.n++;
		if (timeline.n == line.n || !num_parse_u64(timeline, &number))
			continue;
		line = (struct view){
		    line.p + timeline.n + 1, line.n - timeline.n - 1};
		for (n = 0; n < line.n && line.p[n] != '\t';)
			n++;
		if (!lsn_parse((struct view){line.p, n}, &lsn))
			continue;
		buf_addf(b, "%s[%u,\"%s\"]", b->len > 1 ? "," : "",
		    (unsigned)number, lsn_text(lsn).s);
	}
}

static int
get_history(struct pg *pg, struct source_system *sys)
{
	char sql[40];
	PGresult *res;
	int rc;

	buf_clear(&sys->history);
	buf_addc(&sys->history, '[');
	if (sys->timeline > 1) {
		snprintf(sql, sizeof(sql), "TIMELINE_HISTORY %u",
		    (unsigned)sys->timeline);
		rc = pg_query(pg, "read the source's timeline history", sql, 0,
		    NULL, &res);
		if (rc == EXIT_DONE)
			add_history(&sys->history, pg_value(res, 0, 1));
		PQclear(res);
		if (rc != EXIT_DONE)
			return rc;
	}
	buf_addc(&sys->history, ']');
	return EXIT_DONE;
}

static int
get_timeout(struct pg *pg, int64_t *ms)
{
	PGresult *res;
	int rc = pg_query(pg, "read the settings of the source",
	    "SELECT setting FROM pg_catalog.pg_settings "
	    "WHERE name = 'wal_sender_timeout'",
	    0, NULL, &res);

	*ms = 0;
	if (rc == EXIT_DONE && PQntuples(res) == 1)
		num_parse_i64(pg_value(res, 0, 0), ms);
	PQclear(res);
	return rc;
}

int
source_identify(struct pg *pg, struct source_system *sys)
{
	PGresult *res;
	uint64_t timeline = 0;
	int rc = pg_query(
	    pg, "identify the source", "IDENTIFY_SYSTEM", 0, NULL, &res);

	if (rc == EXIT_DONE &&
	    (PQntuples(res) != 1 ||
		!num_parse_u64(pg_value(res, 0, 1), &timeline) ||
		!lsn_parse(pg_value(res, 0, 2), &sys->flush))) {
		log_error("could not identify the source: unexpected answer");
		rc = EXIT_PROTOCOL;
	}
	/* some poolers ignore "replication" and open a normal session, which
	 * does not know the command */
	if (rc != EXIT_DONE && pg_is_state(res, "42601")) {
		pg_remedy_pooler();
		rc = EXIT_CONFIG;
	}
	if (rc == EXIT_DONE) {
		sys->timeline = (uint32_t)timeline;
		buf_clear(&sys->system_id);
		buf_addv(&sys->system_id, pg_value(res, 0, 0));
	}
	PQclear(res);
	if (rc == EXIT_DONE)
		rc = get_history(pg, sys);
	if (rc == EXIT_DONE)
		rc = get_timeout(pg, &sys->timeout_ms);
	return rc;
}

void
source_system_release(struct source_system *sys)
{
	buf_release(&sys->system_id);
	buf_release(&sys->history);
}

void
source_add_id(struct buf *b, const struct pg *pg, const char *source_id)
{
	if (source_id != NULL)
		buf_adds(b, source_id);
	else
		buf_addf(b, "postgres-%s", PQdb(pg->conn));
}

struct stream_start
source_start_line(const struct source_system *sys, struct view source_id,
    const char *slot, uint64_t lsn)
{
	return (struct stream_start){
	    .source_id = source_id,
	    .system_id = buf_view(&sys->system_id),
	    .timeline = sys->timeline,
	    .history = buf_view(&sys->history),
	    .slot = view_of(slot),
	    .lsn = lsn,
	    .flush = sys->flush,
	};
}

/* The CTEs in front of left_out.sql: the listed tables, as VALUES, and the
 * start of the publication's name. */
static void
add_listed(struct pg *pg, struct buf *sql, const struct table_list *l)
{
	buf_adds(sql, "WITH RECURSIVE listed (schema, name) AS (VALUES ");
	for (size_t i = 0; i < l->n; i++) {
		buf_adds(sql, i == 0 ? "(" : ", (");
		pg_add_literal(pg, sql, l->names[i].schema);
		buf_adds(sql, "::text, ");
		pg_add_literal(pg, sql, l->names[i].table);
		buf_adds(sql, "::text)");
	}
	buf_adds(sql, "), published (name) AS (SELECT ");
}

/* Rows with a third column are listed tables that are not published. */
static int
refuse_unpublished(const PGresult *res, const char *publication)
{
	for (int i = 0; i < PQntuples(res); i++) {
		if (PQgetisnull(res, i, 2))
			continue;
		log_error("could not read \"%.*s\".\"%.*s\": it is not in "
			  "the publication \"%s\"",
		    VIEW_FMT(pg_value(res, i, 0)),
		    VIEW_FMT(pg_value(res, i, 1)), publication);
		log_hint("Remove it from --tables, or have the publication's "
			 "owner run ALTER PUBLICATION ... ADD TABLE.");
		return EXIT_CONFIG;
	}
	return EXIT_DONE;
}

int
source_left_out(struct pg *pg, const char *publication,
    const struct table_list *tables, PGresult **res)
{
	static const char doing[] = "look up the published tables";
	struct buf sql = BUF_INIT;
	int rc;

	add_listed(pg, &sql, tables);
	pg_add_literal(pg, &sql, view_of(publication));
	buf_adds(&sql, "::name) " SQL_LEFT_OUT);
	if (buf_str(&sql) == NULL) {
		log_error("could not %s: out of memory", doing);
		rc = EXIT_OS;
	} else {
		rc = pg_query(pg, doing, sql.data, 0, NULL, res);
	}
	buf_release(&sql);
	return rc == EXIT_DONE ? refuse_unpublished(*res, publication) : rc;
}
