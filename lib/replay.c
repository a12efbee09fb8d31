#include "replay.h"

#include <stdio.h>

#include "clock.h"
#include "lsn.h"
#include "num.h"
#include "when.h"

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

static void
set_span(char *text, size_t n, const struct replay_bound *b)
{
	if (b->kind == REPLAY_ID)
		snprintf(text, n, "%llu", (unsigned long long)b->value);
	else if (b->kind == REPLAY_LSN)
		snprintf(text, n, "%s", lsn_text(b->value).s);
}

bool
replay_apply(const struct replay *r, struct cursor_session *s, struct ahead *a)
{
	struct cursor_span *span = &s->span;

	if (r->from.kind == REPLAY_LSN)
		set_span(span->from_lsn, sizeof(span->from_lsn), &r->from);
	else
		set_span(span->from_id, sizeof(span->from_id), &r->from);
	if (r->to.kind == REPLAY_ID)
		set_span(span->to_id, sizeof(span->to_id), &r->to);
	add_bound(&a->filter, &r->from, ">=");
	add_bound(&a->filter, &r->to, "<=");
	return add_tables(&a->filter, &r->tables, &a->pg) && !a->filter.failed;
}
