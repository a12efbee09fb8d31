#include "cursor.h"

#include <stdlib.h>

#include "copyrow.h"
#include "exitcode.h"
#include "log.h"
#include "num.h"
#include "sql.h"
#include "store.h"

#define GAP_IDS    64  /* ids of others that are cheaper to read than to skip */
#define MAX_RANGES 100 /* in one COPY */

static int
unexpected(const char *doing)
{
	log_error("could not %s: unexpected answer", doing);
	return EXIT_BUG;
}

int
cursor_open(struct cursor_session *s, const char *conninfo, bool latest)
{
	const char *params[] = {s->consumer, latest ? "t" : "f"};
	int rc = store_open(&s->pg, conninfo);

	if (rc == EXIT_DONE)
		rc = pg_query(&s->pg, "set up the session on the buffer",
		    SQL_SESSION_READ, 0, NULL, NULL);
	if (rc == EXIT_DONE)
		rc = pg_query(&s->pg, "register the consumer", SQL_ADD_CONSUMER,
		    2, params, NULL);
	return rc;
}

static bool
get_i64(const PGresult *res, int row, int column, int64_t *v)
{
	return num_parse_i64(pg_value(res, row, column), v);
}

static bool
get_u64(const PGresult *res, int row, int column, uint64_t *v)
{
	return num_parse_u64(pg_value(res, row, column), v);
}

/* The columns of pending.sql. */
static bool
get_cursor(const PGresult *res, int row, struct cursor *c)
{
	*c = (struct cursor){.source_id = pg_value(res, row, 0)};
	return get_i64(res, row, 1, &c->last_id) &&
	    get_u64(res, row, 2, &c->total) &&
	    get_i64(res, row, 3, &c->write_no) &&
	    get_i64(res, row, 4, &c->newest_id) &&
	    get_u64(res, row, 5, &c->newest_total) &&
	    (PQgetisnull(res, row, 6) || get_i64(res, row, 6, &c->age_ms));
}

void
cursor_list_release(struct cursor_list *l)
{
	free(l->cursors);
	PQclear(l->texts);
	*l = (struct cursor_list){0};
}

int
cursor_pending(struct cursor_session *s, struct cursor_list *l)
{
	static const char doing[] = "look for events that wait";
	const char *params[] = {s->consumer, s->sources};
	int rc;

	cursor_list_release(l);
	rc = pg_query(&s->pg, doing, SQL_PENDING, 2, params, &l->texts);
	if (rc != EXIT_DONE)
		return rc;
	l->n = (size_t)PQntuples(l->texts);
	l->cursors = calloc(l->n + 1, sizeof(*l->cursors));
	if (l->cursors == NULL) {
		log_error("could not %s: out of memory", doing);
		return EXIT_OS;
	}
	for (size_t i = 0; i < l->n; i++) {
		if (!get_cursor(l->texts, (int)i, &l->cursors[i]))
			return unexpected(doing);
	}
	return EXIT_DONE;
}

static int
lock_query(struct cursor_session *s, const struct cursor *c, const char *sql,
    bool *got)
{
	struct buf source = BUF_INIT;
	const char *params[2] = {s->consumer, NULL};
	PGresult *res;
	int rc;

	buf_addv(&source, c->source_id);
	params[1] = buf_str(&source);
	rc = pg_query(
	    &s->pg, "lock the source for reading", sql, 2, params, &res);
	*got = rc == EXIT_DONE && view_eq(pg_value(res, 0, 0), VIEW_LIT("t"));
	PQclear(res);
	buf_release(&source);
	return rc;
}

int
cursor_claim(struct cursor_session *s, const struct cursor *c, bool *got)
{
	return lock_query(s, c, SQL_CLAIM, got);
}

int
cursor_unclaim(struct cursor_session *s, const struct cursor *c)
{
	bool had;

	return lock_query(s, c, SQL_UNCLAIM, &had);
}

/* A row of ranges.sql. */
struct write {
	int64_t write_no;
	int64_t first_id;
	int64_t last_id;
	uint64_t total;
};

static bool
get_write(const PGresult *res, int row, struct write *w)
{
	return get_i64(res, row, 0, &w->write_no) &&
	    get_i64(res, row, 1, &w->first_id) &&
	    get_i64(res, row, 2, &w->last_id) &&
	    get_u64(res, row, 3, &w->total);
}

static int
find_writes(struct cursor_session *s, const struct cursor *c, uint64_t events,
    PGresult **res)
{
	struct buf b = BUF_INIT;
	char write_no[24], id[24], limit[24];
	const char *params[] = {NULL, write_no, id, limit};
	int rc;

	buf_addv(&b, c->source_id);
	params[0] = buf_str(&b);
	snprintf(write_no, sizeof(write_no), "%lld", (long long)c->write_no);
	snprintf(id, sizeof(id), "%lld", (long long)c->last_id);
	/* each has at least one event, the first perhaps read already */
	snprintf(limit, sizeof(limit), "%llu", (unsigned long long)events + 1);
	rc = pg_query(
	    &s->pg, "find the next events", SQL_RANGES, 4, params, res);
	buf_release(&b);
	return rc;
}

/* Ids of the source between these bounds. */
struct range {
	int64_t from;
	int64_t to;
};

static void
add_range(struct buf *sql, const struct range *r, const char *after)
{
	buf_addf(sql, "(%lld::bigint, %lld::bigint)%s", (long long)r->from,
	    (long long)r->to, after);
}

/*
 * The ranges of the writes from *row on, as far as they are needed and not too
 * many; ranges that nearly touch are one.  *row is moved behind them.
 */
static bool
add_ranges(struct buf *sql, const PGresult *res, int *row,
    const struct cursor *c, uint64_t enough)
{
	struct range r = {0, 0};
	struct write w = {0};
	int n = 1;

	for (; *row < PQntuples(res) && w.total < enough; ++*row) {
		if (!get_write(res, *row, &w))
			return false;
		if (r.from != 0 && w.first_id - r.to > GAP_IDS) {
			if (n++ == MAX_RANGES)
				break;
			add_range(sql, &r, ", ");
			r.from = 0;
		}
		if (r.from == 0)
			r.from = w.first_id > c->last_id ? w.first_id
							 : c->last_id + 1;
		r.to = w.last_id;
	}
	add_range(sql, &r, "");
	return true;
}

/* Tells the server to send no more: what did not fit is read again later. */
static void
cancel(struct cursor_session *s)
{
	PGcancel *handle = PQgetCancel(s->pg.conn);
	char why[256];

	if (handle != NULL && PQcancel(handle, why, sizeof(why)) == 0)
		log_info("could not cancel a COPY: %s", why);
	PQfreeCancel(handle);
}

static int
add_message(struct view message, bool first, struct batch *b, bool *fits)
{
	struct event e;

	switch (copyrow_get(message, first, &e)) {
	case COPYROW_END:
		return EXIT_DONE;
	case COPYROW_EVENT:
		if (e.id <= b->last_id)
			break;
		*fits = batch_add(b, &e);
		if (!b->text.failed)
			return EXIT_DONE;
		log_error("could not read philotes.cdc_log: out of memory");
		return EXIT_OS;
	case COPYROW_BAD:
		break;
	}
	return unexpected("read philotes.cdc_log");
}

static int
read_copy(struct cursor_session *s, struct batch *b, bool *fits)
{
	static const char doing[] = "read philotes.cdc_log";
	PGresult *res = NULL;
	bool first = true;
	char *message;
	int n, rc = EXIT_DONE;

	*fits = true;
	while ((n = PQgetCopyData(s->pg.conn, &message, 0)) > 0) {
		if (*fits && rc == EXIT_DONE) {
			rc = add_message(
			    (struct view){message, (size_t)n}, first, b, fits);
			if (!*fits)
				cancel(s);
		}
		first = false;
		PQfreemem(message);
	}
	if (rc != EXIT_DONE)
		return rc;
	if (*fits)
		return pg_finish(&s->pg, doing, NULL);
	/* cancelled, or it was through before that */
	while ((res = PQgetResult(s->pg.conn)) != NULL) {
		if (PQresultStatus(res) == PGRES_FATAL_ERROR &&
		    !pg_is_state(res, "57014"))
			rc = pg_failed(&s->pg, doing, res);
		PQclear(res);
	}
	return rc;
}

static int
start_copy(struct cursor_session *s, const struct cursor *c,
    const PGresult *writes, int *row, const struct batch *b)
{
	uint64_t wanted = b->max_events - b->events;
	struct buf sql = BUF_INIT;
	PGresult *res = NULL;
	int rc;

	/* one index scan a range, in order: the rows need no sort, and a range
	 * of any size is read no further than the limit */
	buf_adds(&sql, "COPY (SELECT l.* FROM (VALUES ");
	if (!add_ranges(&sql, writes, row, c, c->total + b->max_events)) {
		buf_release(&sql);
		return unexpected("find the next events");
	}
	buf_adds(&sql,
	    ") r (low, high), LATERAL (SELECT " COPYROW_OUT
	    " FROM philotes.cdc_log WHERE source_id = ");
	pg_add_literal(&s->pg, &sql, c->source_id);
	buf_addf(&sql,
	    " AND id BETWEEN r.low AND r.high ORDER BY id) l "
	    "LIMIT %llu) TO STDOUT (FORMAT binary)",
	    (unsigned long long)wanted);
	if (buf_str(&sql) == NULL) {
		log_error("could not read philotes.cdc_log: out of memory");
		rc = EXIT_OS;
	} else {
		rc = pg_query(
		    &s->pg, "read philotes.cdc_log", sql.data, 0, NULL, &res);
	}
	PQclear(res);
	buf_release(&sql);
	return rc;
}

/* The write that holds id, of those found. */
static bool
locate(const PGresult *writes, int64_t id, int64_t *write_no)
{
	struct write w;

	for (int row = 0; row < PQntuples(writes); row++) {
		if (!get_write(writes, row, &w))
			return false;
		*write_no = w.write_no;
		if (w.last_id >= id)
			return true;
	}
	return false;
}

int
cursor_read(struct cursor_session *s, struct cursor *c, struct batch *b,
    struct cursor_mark *m)
{
	PGresult *writes;
	bool fits = true;
	int row = 0;
	int rc = find_writes(s, c, b->max_events, &writes);

	while (rc == EXIT_DONE && row < PQntuples(writes) && fits &&
	    !batch_full(b)) {
		rc = start_copy(s, c, writes, &row, b);
		if (rc == EXIT_DONE)
			rc = read_copy(s, b, &fits);
	}
	if (rc == EXIT_DONE && b->events > 0) {
		m->first_id = c->last_id + 1;
		m->last_id = b->last_id;
		m->events = b->events;
		m->total = c->total + b->events;
		if (!locate(writes, b->last_id, &m->write_no))
			rc = unexpected("find the next events");
		c->last_id = m->last_id;
		c->total = m->total;
		c->write_no = m->write_no;
	}
	PQclear(writes);
	return rc;
}

int
cursor_mark(
    struct cursor_session *s, struct view source, const struct cursor_mark *m)
{
	struct buf b = BUF_INIT;
	char number[5][24];
	const char *params[] = {s->consumer, NULL, number[0], number[1],
	    number[2], number[3], number[4]};
	PGresult *res;
	int rc;

	buf_addv(&b, source);
	params[1] = buf_str(&b);
	snprintf(number[0], 24, "%lld", (long long)m->first_id);
	snprintf(number[1], 24, "%lld", (long long)m->last_id);
	snprintf(number[2], 24, "%llu", (unsigned long long)m->events);
	snprintf(number[3], 24, "%llu", (unsigned long long)m->total);
	snprintf(number[4], 24, "%lld", (long long)m->write_no);
	rc = pg_query(
	    &s->pg, "mark the batch as processed", SQL_MARK, 7, params, &res);
	if (rc != EXIT_DONE && pg_is_state(res, "23505")) {
		log_hint("Another process marked it: the batch is delivered "
			 "again or was.");
		rc = EXIT_RETRY;
	}
	PQclear(res);
	buf_release(&b);
	return rc;
}
