#include "batcher/replay.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/num.h"
#include "batcher/when.h"
#include "sql.h"

static const char finding[] = "find the tables to replay";

bool
replay_bound_parse(const char *text, int64_t now, struct replay_bound *b)
{
	int64_t t;

	if (text[0] == '#') {
		b->kind = REPLAY_ID;
		return num_parse_u64(view_of(text + 1), &b->value) &&
		    b->value > 0 && b->value < INT64_MAX;
	}
	b->kind = REPLAY_LSN;
	if (lsn_parse(view_of(text), &b->value))
		return true;
	b->kind = REPLAY_TIME;
	if (!when_parse(text, now, &t))
		return false;
	b->value = (uint64_t)t;
	return true;
}

bool
replay_in_order(const struct replay *r)
{
	if (r->from.kind != r->to.kind)
		return true;
	if (r->from.kind == REPLAY_TIME)
		return (int64_t)r->from.value <= (int64_t)r->to.value;
	return r->from.value <= r->to.value;
}

static void
add_bound(struct buf *sql, const struct replay_bound *b, const char *comparison)
{
	struct lsn_text lsn = lsn_text(b->value);

	if (b->kind == REPLAY_LSN) {
		buf_addf(sql, " AND commit_lsn %s '%s'", comparison, lsn.s);
	} else if (b->kind == REPLAY_TIME) {
		buf_addf(sql, " AND event_time %s '", comparison);
		clock_format_pg(sql, (int64_t)b->value);
		buf_addc(sql, '\'');
	}
}

static bool
add_tables(struct buf *sql, const struct table_list *l, struct pg *pg)
{
	for (size_t i = 0; i < l->n; i++) {
		buf_adds(sql,
		    i == 0 ? " AND (schema_name, table_name) IN ((" : ", (");
		if (!pg_add_literal(pg, sql, l->names[i].schema))
			return false;
		buf_adds(sql, ", ");
		if (!pg_add_literal(pg, sql, l->names[i].table))
			return false;
		buf_addc(sql, ')');
	}
	if (l->n > 0)
		buf_addc(sql, ')');
	return true;
}

static int
ask_for_tables(const struct replay *r, struct cursor_session *s, PGresult **res)
{
	struct buf schemas = BUF_INIT, names = BUF_INIT;
	const char *params[3];
	int rc;

	for (size_t i = 0; i < r->tables.n; i++) {
		pg_array_add(&schemas, r->tables.names[i].schema);
		pg_array_add(&names, r->tables.names[i].table);
	}
	params[0] = pg_array_end(&schemas);
	params[1] = pg_array_end(&names);
	params[2] = s->sources;
	/* SQL_SESSION_READ forces the primary key, which does not help here */
	rc = pg_query(&s->pg, finding,
	    "BEGIN; SET LOCAL statement_timeout = '5s'; "
	    "SET LOCAL enable_seqscan = on",
	    0, NULL, NULL);
	s->pg.expected = "57014";
	if (rc == EXIT_DONE)
		rc = pg_query(
		    &s->pg, finding, SQL_UNKNOWN_TABLE, 3, params, res);
	s->pg.expected = NULL;
	buf_release(&schemas);
	buf_release(&names);
	return rc;
}

int
replay_find_tables(const struct replay *r, struct cursor_session *s)
{
	PGresult *res = NULL;
	int rc;

	if (r->tables.n == 0)
		return EXIT_DONE;
	rc = ask_for_tables(r, s, &res);
	if (pg_is_state(res, "57014")) {
		log_warning("the log is too large to check that it has "
			    "events of every table");
		rc = EXIT_DONE;
	} else if (rc == EXIT_DONE && PQntuples(res) > 0) {
		log_error("could not find the table \"%.*s\".\"%.*s\": the "
			  "buffer has no event of it",
		    VIEW_FMT(pg_value(res, 0, 0)),
		    VIEW_FMT(pg_value(res, 0, 1)));
		log_hint("Names are schema.table, or table in schema public, "
			 "in double quotes if they are not lower case; an "
			 "event of a partitioned table has its partition's.");
		rc = EXIT_CONFIG;
	}
	PQclear(res);
	return rc == EXIT_DONE
	    ? pg_query(&s->pg, finding, "ROLLBACK", 0, NULL, NULL)
	    : rc;
}

static void
set_span(char *text, size_t n, const struct replay_bound *b)
{
	if (b->kind == REPLAY_ID)
		snprintf(text, n, "%llu", (unsigned long long)b->value);
	else if (b->kind == REPLAY_LSN)
		snprintf(text, n, "%s", lsn_text(b->value).s);
}

bool
replay_apply(
    const struct replay *r, struct cursor_session *s, struct prefetch *p)
{
	struct cursor_span *span = &s->span;

	if (r->from.kind == REPLAY_LSN)
		set_span(span->from_lsn, sizeof(span->from_lsn), &r->from);
	else
		set_span(span->from_id, sizeof(span->from_id), &r->from);
	if (r->to.kind == REPLAY_ID)
		set_span(span->to_id, sizeof(span->to_id), &r->to);
	add_bound(&p->filter, &r->from, ">=");
	add_bound(&p->filter, &r->to, "<=");
	return add_tables(&p->filter, &r->tables, &p->pg) && !p->filter.failed;
}
