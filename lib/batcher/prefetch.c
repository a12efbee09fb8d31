#include "batcher/prefetch.h"

#include <limits.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "base/num.h"
#include "base/signals.h"
#include "buffer/copyrow.h"
#include "buffer/store.h"
#include "sql.h"

#define ROOM       (UINT64_C(2) * 1024 * 1024) /* what a batch does not need */
#define COPY_ROWS  10000                       /* more do not make it faster */
#define LINE_LEN   1024                        /* before one is known */
#define PAGE       2000                        /* rows of the ledger */
#define GAP_IDS    64  /* ids of others that are cheaper to read than to skip */
#define MAX_RANGES 100 /* in one COPY */

static const char doing[] = "read the events";

int
prefetch_open(struct prefetch *a, const char *conninfo)
{
	int rc = store_open_beside(&a->pg, conninfo);

	a->line_len = LINE_LEN;
	if (rc == EXIT_DONE)
		rc = pg_query(&a->pg, "set up the session on the buffer",
		    SQL_SESSION_READ, 0, NULL, NULL);
	return rc;
}

void
prefetch_close(struct prefetch *a)
{
	pg_close(&a->pg);
	PQclear(a->writes);
	buf_release(&a->filter);
	buf_release(&a->source);
	batch_queue_release(&a->queue);
}

static int
failed(const char *why)
{
	log_error("could not %s: %s", doing, why);
	return EXIT_BUG;
}

/* The ledger's page */

struct write {
	int64_t write_no;
	int64_t first_id;
	int64_t last_id;
	uint64_t total;
};

static bool
get_write(const PGresult *res, int row, struct write *w)
{
	return num_parse_i64(pg_value(res, row, 0), &w->write_no) &&
	    num_parse_i64(pg_value(res, row, 1), &w->first_id) &&
	    num_parse_i64(pg_value(res, row, 2), &w->last_id) &&
	    num_parse_u64(pg_value(res, row, 3), &w->total);
}

/* Sees to it that `row` is a write that is not read to its end; false in *more:
 * there is none. */
static int
find_write(struct prefetch *a, bool *more)
{
	char write_no[24], id[24], limit[24];
	const char *params[] = {buf_str(&a->source), write_no, id, limit};
	struct pg_call ranges = {SQL_RANGES, 4, params, NULL};
	int rc;

	*more = true;
	if (a->writes != NULL && a->row < PQntuples(a->writes))
		return EXIT_DONE;
	PQclear(a->writes);
	a->row = 0;
	snprintf(write_no, sizeof(write_no), "%lld", (long long)a->write_no);
	snprintf(id, sizeof(id), "%lld", (long long)a->read_to);
	snprintf(limit, sizeof(limit), "%d", PAGE);
	rc = pg_query_again(&a->pg, "find the next events", &ranges, 1);
	a->writes = ranges.res;
	*more = rc == EXIT_DONE && PQntuples(a->writes) > 0;
	return rc;
}

/* After a COPY: skips the writes that are wholly read. */
static bool
skip_writes(struct prefetch *a)
{
	struct write w;

	for (; a->row < PQntuples(a->writes); a->row++) {
		if (!get_write(a->writes, a->row, &w))
			return false;
		a->write_no = w.write_no;
		if (w.last_id > a->read_to)
			break;
	}
	return true;
}

/* The write that holds id, which is at or behind the one asked for before. */
static bool
locate(struct prefetch *a, int64_t id, int64_t *write_no)
{
	struct write w;

	*write_no = 0;
	if (!a->by_ledger)
		return true;
	for (; a->at_row < PQntuples(a->writes); a->at_row++) {
		if (!get_write(a->writes, a->at_row, &w))
			return false;
		*write_no = w.write_no;
		if (w.last_id >= id)
			return true;
	}
	return false;
}

/* Taking in what a COPY brings */

/* A batch that is not complete may need more. */
static uint64_t
room(const struct prefetch *a)
{
	return a->limits.bytes > ROOM ? a->limits.bytes : ROOM;
}

/* Tells the server to send no more: what there is no room for is read later. */
static void
cancel(struct prefetch *a)
{
	a->cancelled = true;
	pg_cancel(&a->pg);
}

static int
add_event(struct prefetch *a, const struct event *e)
{
	int64_t write_no;

	if (e->id <= a->read_to)
		return failed("ids are not in order");
	if (!locate(a, e->id, &write_no))
		return failed("an id is in no row of the ledger");
	if (!batch_queue_add(&a->queue, e, write_no)) {
		log_error("could not %s: out of memory", doing);
		return EXIT_OS;
	}
	a->read_to = e->id;
	a->rows++;
	a->line_len += (a->queue.lines[a->queue.n - 1].len + 15) / 16 -
	    a->line_len / 16;
	return EXIT_DONE;
}

static int
on_message(struct prefetch *a, struct view message)
{
	struct event e;
	bool first = a->first;

	a->first = false;
	if (a->cancelled)
		return EXIT_DONE;
	switch (copyrow_get(message, first, &e)) {
	case COPYROW_END:
		return EXIT_DONE;
	case COPYROW_EVENT:
		if (batch_queue_len(&a->queue) < room(a))
			return add_event(a, &e);
		cancel(a);
		return EXIT_DONE;
	case COPYROW_BAD:
		break;
	}
	return failed("not a row of COPY");
}

static int
end_copy(struct prefetch *a)
{
	bool to_the_end = !a->cancelled && a->rows < a->asked;
	struct write w;
	PGresult *res;
	int rc;

	a->copying = false;
	/* cancelled, or it was through before that */
	a->pg.expected = a->cancelled ? "57014" : NULL;
	rc = pg_finish(&a->pg, doing, &res);
	if (a->cancelled && pg_is_state(res, "57014"))
		rc = EXIT_DONE;
	a->pg.expected = NULL;
	PQclear(res);
	if (rc != EXIT_DONE)
		return rc;
	a->read_total += a->rows;
	if (to_the_end)
		a->read_to = a->range_end;
	if (!a->by_ledger)
		return rc;
	if (to_the_end && a->range_row > a->row) {
		if (!get_write(a->writes, a->range_row - 1, &w))
			return failed("unexpected answer");
		a->read_total = w.total;
	}
	return skip_writes(a) ? rc : failed("unexpected answer");
}

/* What has arrived. */
static int
take_in(struct prefetch *a)
{
	char *message;
	int n, rc = EXIT_DONE;

	if (!a->copying)
		return rc;
	pg_heard(&a->pg);
	if (PQconsumeInput(a->pg.conn) == 0)
		return pg_failed(&a->pg, doing, NULL);
	while (rc == EXIT_DONE &&
	    (n = PQgetCopyData(a->pg.conn, &message, 1)) != 0) {
		if (n < 0)
			return end_copy(a);
		rc = on_message(a, (struct view){message, (size_t)n});
		PQfreemem(message);
	}
	return rc;
}

/* Starting a COPY */

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
 * The ranges of the writes from `row` on, as far as they are needed and not too
 * many; ranges that nearly touch are one.
 */
static bool
add_ranges(struct prefetch *a, struct buf *sql)
{
	struct range r = {0, 0};
	struct write w = {0};
	int n = 1;

	for (a->range_row = a->row; a->range_row < PQntuples(a->writes) &&
	     w.total < a->read_total + a->asked && w.last_id < a->until;
	     a->range_row++) {
		if (!get_write(a->writes, a->range_row, &w))
			return false;
		if (r.from != 0 && w.first_id - r.to > GAP_IDS) {
			if (n++ == MAX_RANGES)
				break;
			add_range(sql, &r, ", ");
			r.from = 0;
		}
		if (r.from == 0)
			r.from = w.first_id > a->read_to ? w.first_id
							 : a->read_to + 1;
		r.to = w.last_id < a->until ? w.last_id : a->until;
	}
	a->range_end = r.to;
	add_range(sql, &r, "");
	return true;
}

static bool
put_copy(struct prefetch *a, struct buf *sql)
{
	/* one index scan a range, in order: the rows need no sort, and a range
	 * of any size is read no further than the limit */
	buf_adds(sql, "COPY (SELECT l.* FROM (VALUES ");
	if (a->by_ledger) {
		if (!add_ranges(a, sql))
			return false;
	} else {
		a->range_end = a->until;
		add_range(sql, &(struct range){a->read_to + 1, a->until}, "");
	}
	buf_addf(sql,
	    ") r (low, high), LATERAL (SELECT " COPYROW_OUT
	    " FROM philotes.%s WHERE source_id = ",
	    a->table);
	if (!pg_add_literal(&a->pg, sql, buf_view(&a->source)))
		return false;
	buf_addv(sql, buf_view(&a->filter));
	buf_addf(sql,
	    " AND id BETWEEN r.low AND r.high ORDER BY id) l "
	    "LIMIT %llu) TO STDOUT (FORMAT binary)",
	    (unsigned long long)a->asked);
	return buf_str(sql) != NULL;
}

static int
start_copy(struct prefetch *a)
{
	uint64_t len = batch_queue_len(&a->queue);
	uint64_t left = (len < ROOM ? ROOM : room(a)) - len;
	struct buf sql = BUF_INIT;
	PGresult *res = NULL;
	int rc;

	batch_queue_compact(&a->queue);
	a->asked = left / a->line_len;
	if (a->asked > COPY_ROWS)
		a->asked = COPY_ROWS;
	if (a->asked == 0)
		a->asked = 1;
	rc = put_copy(a, &sql) ? EXIT_DONE : failed("unexpected answer");
	if (rc == EXIT_DONE)
		rc = pg_query(&a->pg, doing, sql.data, 0, NULL, &res);
	PQclear(res);
	buf_release(&sql);
	a->copying = rc == EXIT_DONE;
	pg_await(&a->pg);
	a->first = true;
	a->cancelled = false;
	a->rows = 0;
	a->at_row = a->row;
	/* some of it may have come with the answer */
	return rc == EXIT_DONE ? take_in(a) : rc;
}

/* Starts one if there is something to read, and room enough that it is worth
 * it. */
static int
go_on(struct prefetch *a, bool needed)
{
	bool more = true;
	int rc = EXIT_DONE;

	if (a->copying || a->resting || a->read_to >= a->until)
		return rc;
	if (!needed && batch_queue_len(&a->queue) > ROOM / 2)
		return rc;
	if (a->by_ledger)
		rc = find_write(a, &more);
	if (rc == EXIT_DONE && more)
		return start_copy(a);
	a->read_to = a->until;
	return rc;
}

int
prefetch_wait(
    struct prefetch *a, struct pollfd *p, nfds_t n, int64_t timeout_ms)
{
	struct pollfd all[PREFETCH_FDS + 2];
	int64_t left = a->copying ? clock_left(pg_due_at(&a->pg)) : INT_MAX;
	bool limited = timeout_ms >= 0 && timeout_ms < INT_MAX;
	int rc = EXIT_DONE, found;

	for (nfds_t i = 0; i < n; i++)
		all[i] = p[i];
	all[n] = (struct pollfd){
	    a->copying ? PQsocket(a->pg.conn) : -1, POLLIN, 0};
	all[n + 1] = (struct pollfd){signals_fd(), POLLIN, 0};
	if (limited && timeout_ms < left)
		left = timeout_ms;
	found = poll(all, n + 2, left < INT_MAX ? (int)left : -1);
	for (nfds_t i = 0; i < n; i++)
		p[i].revents = found > 0 ? all[i].revents : 0;
	if (found > 0 && all[n].revents != 0)
		rc = take_in(a);
	else if (a->copying)
		rc = pg_lose_patience(&a->pg, doing);
	if (found <= 0)
		return rc;
	if (all[n + 1].revents != 0)
		signals_drain();
	return rc;
}

/* Batches */

int
prefetch_aim(struct prefetch *a, const struct cursor *c)
{
	int rc = EXIT_DONE;

	if (a->copying)
		cancel(a);
	while (rc == EXIT_DONE && a->copying && !signals_stop_requested())
		rc = prefetch_wait(a, NULL, 0, -1);
	buf_clear(&a->source);
	buf_addv(&a->source, c->source_id);
	PQclear(a->writes);
	a->writes = NULL;
	a->read_to = c->last_id;
	a->read_total = c->total;
	a->write_no = c->write_no;
	a->until = c->newest_id;
	a->resting = false;
	batch_queue_reset(&a->queue, c->last_id, c->total);
	return rc;
}

void
prefetch_rest(struct prefetch *a)
{
	a->resting = true;
}

int
prefetch_next(struct prefetch *a, bool all, struct batch *b)
{
	int rc = take_in(a);
	bool got;

	for (;;) {
		got = batch_cut(&a->queue, &a->limits, false, b);
		if (rc == EXIT_DONE)
			rc = go_on(a, !got);
		if (rc != EXIT_DONE || got || signals_stop_requested())
			break;
		if (!a->copying && (a->resting || a->read_to >= a->until)) {
			batch_cut(&a->queue, &a->limits,
			    all && a->read_to >= a->until, b);
			break;
		}
		if (a->copying)
			rc = prefetch_wait(a, NULL, 0, -1);
	}
	if (rc != EXIT_DONE || signals_stop_requested())
		*b = (struct batch){0};
	return rc;
}

void
prefetch_done(struct prefetch *a, const struct batch *b)
{
	batch_pop(&a->queue, b);
}

int
prefetch_measure(struct prefetch *a, const struct cursor *c, uint64_t *bytes)
{
	struct batch b;
	int rc = prefetch_aim(a, c);

	if (rc == EXIT_DONE)
		rc = prefetch_next(a, true, &b);
	*bytes = batch_queue_len(&a->queue);
	return rc;
}
