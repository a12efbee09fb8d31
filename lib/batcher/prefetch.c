#include "batcher/prefetch.h"

#include <limits.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "base/num.h"
#include "base/signals.h"
#include "batcher/cursor.h"
#include "buffer/copyrow.h"
#include "buffer/store.h"
#include "sql.h"

#define ROOM       (UINT64_C(2) * 1024 * 1024) /* unless a batch needs more */
#define COPY_ROWS  10000                       /* more are not faster */
#define LINE_LEN   1024                        /* until lines have come */
#define PAGE       2000                        /* rows of the ledger */
#define GAP_IDS    64  /* largest gap between ids that one range spans */
#define MAX_RANGES 100 /* in one COPY */

static const char doing[] = "read the events";

int
prefetch_open(struct prefetch *p, const char *conninfo)
{
	int rc = store_open_beside(&p->pg, conninfo);

	p->line_len = LINE_LEN;
	if (rc == EXIT_DONE)
		rc = pg_query(&p->pg, "set up the session on the buffer",
		    SQL_SESSION_READ, 0, NULL, NULL);
	return rc;
}

void
prefetch_close(struct prefetch *p)
{
	pg_close(&p->pg);
	PQclear(p->writes);
	buf_release(&p->filter);
	buf_release(&p->source);
	batch_queue_release(&p->queue);
}

static int
failed(const char *why)
{
	log_error("could not %s: %s", doing, why);
	return EXIT_BUG;
}

/* The page of the ledger */

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

/* Before events are read: their schema lines, as far as the ledger has more. */
static int
load_schemas(struct prefetch *p)
{
	int64_t newest = 0;

	if (p->queue.book == NULL)
		return EXIT_DONE;
	if (p->by_ledger)
		num_parse_i64(pg_value(p->writes, 0, 4), &newest);
	return schema_book_load(p->queue.book, &p->pg, newest);
}

/* Makes p->row a write that is not read to its end, fetching a page if need be.
 * *more is false if there is none. */
static int
find_write(struct prefetch *p, bool *more)
{
	char write_no[24], id[24], limit[24];
	const char *params[] = {buf_str(&p->source), write_no, id, limit};
	struct pg_call ranges = {SQL_RANGES, 4, params, NULL};
	int rc;

	*more = true;
	if (p->writes != NULL && p->row < PQntuples(p->writes))
		return EXIT_DONE;
	PQclear(p->writes);
	p->row = 0;
	snprintf(write_no, sizeof(write_no), "%lld", (long long)p->write_no);
	snprintf(id, sizeof(id), "%lld", (long long)p->read_to);
	snprintf(limit, sizeof(limit), "%d", PAGE);
	rc = pg_query_again(&p->pg, "find the next events", &ranges, 1);
	p->writes = ranges.res;
	*more = rc == EXIT_DONE && PQntuples(p->writes) > 0;
	return *more ? load_schemas(p) : rc;
}

/* After a COPY: skips the writes that were read to their end. */
static bool
skip_writes(struct prefetch *p)
{
	struct write w;

	for (; p->row < PQntuples(p->writes); p->row++) {
		if (!get_write(p->writes, p->row, &w))
			return false;
		p->write_no = w.write_no;
		if (w.last_id > p->read_to)
			break;
	}
	return true;
}

/* Finds the write that holds id; ids must come in ascending order. */
static bool
locate(struct prefetch *p, int64_t id, int64_t *write_no)
{
	struct write w;

	*write_no = 0;
	if (!p->by_ledger)
		return true;
	for (; p->at_row < PQntuples(p->writes); p->at_row++) {
		if (!get_write(p->writes, p->at_row, &w))
			return false;
		*write_no = w.write_no;
		if (w.last_id >= id)
			return true;
	}
	return false;
}

/* Receiving a COPY */

/* How many bytes the queue may hold: an incomplete batch may need more. */
static uint64_t
room(const struct prefetch *p)
{
	return p->limits.bytes > ROOM ? p->limits.bytes : ROOM;
}

/* Cancels the COPY: the queue is full.  The rest is read later. */
static void
cancel(struct prefetch *p)
{
	p->cancelled = true;
	pg_cancel(&p->pg);
}

static int
add_event(struct prefetch *p, const struct event *e)
{
	int64_t write_no;

	if (e->id <= p->read_to)
		return failed("ids are not in order");
	if (!locate(p, e->id, &write_no))
		return failed("an id is in no row of the ledger");
	if (!batch_queue_add(&p->queue, e, write_no)) {
		log_error("could not %s: out of memory", doing);
		return EXIT_OS;
	}
	p->read_to = e->id;
	p->rows++;
	p->line_len += (p->queue.lines[p->queue.n - 1].len + 15) / 16 -
	    p->line_len / 16;
	return EXIT_DONE;
}

static int
on_message(struct prefetch *p, struct view message)
{
	struct event e;
	bool first = p->first;

	p->first = false;
	if (p->cancelled)
		return EXIT_DONE;
	switch (copyrow_get(message, first, &e)) {
	case COPYROW_END:
		return EXIT_DONE;
	case COPYROW_EVENT:
		if (batch_queue_len(&p->queue) < room(p))
			return add_event(p, &e);
		cancel(p);
		return EXIT_DONE;
	case COPYROW_BAD:
		break;
	}
	return failed("not a row of COPY");
}

static int
end_copy(struct prefetch *p)
{
	bool to_the_end = !p->cancelled && p->rows < p->asked;
	struct write w;
	PGresult *res;
	int rc;

	p->copying = false;
	/* query_canceled, unless the COPY ended before the cancel arrived */
	p->pg.expected = p->cancelled ? "57014" : NULL;
	rc = pg_finish(&p->pg, doing, &res);
	if (p->cancelled && pg_is_state(res, "57014"))
		rc = EXIT_DONE;
	p->pg.expected = NULL;
	PQclear(res);
	if (rc != EXIT_DONE)
		return rc;
	p->read_total += p->rows;
	if (to_the_end)
		p->read_to = p->range_end;
	if (!p->by_ledger)
		return rc;
	if (to_the_end && p->range_row > p->row) {
		if (!get_write(p->writes, p->range_row - 1, &w))
			return failed("unexpected answer");
		p->read_total = w.total;
	}
	return skip_writes(p) ? rc : failed("unexpected answer");
}

/* Receives what has arrived. */
static int
receive(struct prefetch *p)
{
	char *message;
	int n, rc = EXIT_DONE;

	if (!p->copying)
		return rc;
	pg_heard(&p->pg);
	if (PQconsumeInput(p->pg.conn) == 0)
		return pg_failed(&p->pg, doing, NULL);
	while (rc == EXIT_DONE &&
	    (n = PQgetCopyData(p->pg.conn, &message, 1)) != 0) {
		if (n < 0)
			return end_copy(p);
		rc = on_message(p, (struct view){message, (size_t)n});
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
 * Adds the ranges of the writes from p->row on, until they hold the rows asked
 * for or are MAX_RANGES.  Merges ranges that nearly touch.
 */
static bool
add_ranges(struct prefetch *p, struct buf *sql)
{
	struct range r = {0, 0};
	struct write w = {0};
	int n = 1;

	for (p->range_row = p->row; p->range_row < PQntuples(p->writes) &&
	     w.total < p->read_total + p->asked && w.last_id < p->until;
	     p->range_row++) {
		if (!get_write(p->writes, p->range_row, &w))
			return false;
		if (r.from != 0 && w.first_id - r.to > GAP_IDS) {
			if (n++ == MAX_RANGES)
				break;
			add_range(sql, &r, ", ");
			r.from = 0;
		}
		if (r.from == 0)
			r.from = w.first_id > p->read_to ? w.first_id
							 : p->read_to + 1;
		r.to = w.last_id < p->until ? w.last_id : p->until;
	}
	p->range_end = r.to;
	add_range(sql, &r, "");
	return true;
}

static bool
put_copy(struct prefetch *p, struct buf *sql)
{
	/* one index scan per range, in order: the rows need no sort, and the
	 * scans stop at the limit */
	buf_adds(sql, "COPY (SELECT l.* FROM (VALUES ");
	if (p->by_ledger) {
		if (!add_ranges(p, sql))
			return false;
	} else {
		p->range_end = p->until;
		add_range(sql, &(struct range){p->read_to + 1, p->until}, "");
	}
	buf_addf(sql,
	    ") r (low, high), LATERAL (SELECT " COPYROW_OUT
	    " FROM philotes.%s WHERE source_id = ",
	    p->table);
	if (!pg_add_literal(&p->pg, sql, buf_view(&p->source)))
		return false;
	buf_addv(sql, buf_view(&p->filter));
	buf_addf(sql,
	    " AND id BETWEEN r.low AND r.high ORDER BY id) l "
	    "LIMIT %llu) TO STDOUT (FORMAT binary)",
	    (unsigned long long)p->asked);
	return buf_str(sql) != NULL;
}

static int
start_copy(struct prefetch *p)
{
	uint64_t len = batch_queue_len(&p->queue);
	uint64_t left = (len < ROOM ? ROOM : room(p)) - len;
	struct buf sql = BUF_INIT;
	PGresult *res = NULL;
	int rc;

	batch_queue_compact(&p->queue);
	p->asked = left / p->line_len;
	if (p->asked > COPY_ROWS)
		p->asked = COPY_ROWS;
	if (p->asked == 0)
		p->asked = 1;
	rc = put_copy(p, &sql) ? EXIT_DONE : failed("unexpected answer");
	if (rc == EXIT_DONE)
		rc = pg_query(&p->pg, doing, sql.data, 0, NULL, &res);
	PQclear(res);
	buf_release(&sql);
	p->copying = rc == EXIT_DONE;
	pg_await(&p->pg);
	p->first = true;
	p->cancelled = false;
	p->rows = 0;
	p->at_row = p->row;
	/* rows may have come with the answer */
	return rc == EXIT_DONE ? receive(p) : rc;
}

/* Starts a COPY if there is something to read, and either a batch needs it or
 * half of the room is free. */
static int
read_on(struct prefetch *p, bool needed)
{
	bool more = true;
	int rc = EXIT_DONE;

	if (p->copying || p->resting || p->read_to >= p->until)
		return rc;
	if (!needed && batch_queue_len(&p->queue) > ROOM / 2)
		return rc;
	rc = p->by_ledger ? find_write(p, &more) : load_schemas(p);
	if (rc == EXIT_DONE && more)
		return start_copy(p);
	p->read_to = p->until;
	return rc;
}

int
prefetch_wait(
    struct prefetch *p, struct pollfd *fds, nfds_t n, int64_t timeout_ms)
{
	struct pollfd all[PREFETCH_FDS + 2];
	int64_t left = p->copying ? clock_left(pg_due_at(&p->pg)) : INT_MAX;
	bool limited = timeout_ms >= 0 && timeout_ms < INT_MAX;
	int rc = EXIT_DONE, found;

	for (nfds_t i = 0; i < n; i++)
		all[i] = fds[i];
	all[n] = (struct pollfd){
	    p->copying ? PQsocket(p->pg.conn) : -1, POLLIN, 0};
	all[n + 1] = (struct pollfd){signals_fd(), POLLIN, 0};
	if (limited && timeout_ms < left)
		left = timeout_ms;
	found = poll(all, n + 2, left < INT_MAX ? (int)left : -1);
	for (nfds_t i = 0; i < n; i++)
		fds[i].revents = found > 0 ? all[i].revents : 0;
	if (found > 0 && all[n].revents != 0)
		rc = receive(p);
	else if (p->copying)
		rc = pg_lose_patience(&p->pg, doing);
	if (found <= 0)
		return rc;
	if (all[n + 1].revents != 0)
		signals_drain();
	return rc;
}

/* Batches */

int
prefetch_aim(struct prefetch *p, const struct cursor *c)
{
	int rc = EXIT_DONE;

	if (p->copying)
		cancel(p);
	while (rc == EXIT_DONE && p->copying && !signals_stop_requested())
		rc = prefetch_wait(p, NULL, 0, -1);
	buf_clear(&p->source);
	buf_addv(&p->source, c->source_id);
	PQclear(p->writes);
	p->writes = NULL;
	p->read_to = c->last_id;
	p->read_total = c->total;
	p->write_no = c->write_no;
	p->until = c->newest_id;
	p->resting = false;
	batch_queue_reset(&p->queue, c->last_id, c->total);
	if (p->queue.book == NULL ||
	    schema_book_aim(p->queue.book, c->source_id, c->last_id + 1))
		return rc;
	log_error("could not %s: out of memory", doing);
	return EXIT_OS;
}

void
prefetch_rest(struct prefetch *p)
{
	p->resting = true;
}

int
prefetch_next(struct prefetch *p, bool all, struct batch *b)
{
	int rc = receive(p);
	bool got;

	for (;;) {
		got = batch_cut(&p->queue, &p->limits, false, b);
		if (rc == EXIT_DONE)
			rc = read_on(p, !got);
		if (rc != EXIT_DONE || got || signals_stop_requested())
			break;
		if (!p->copying && (p->resting || p->read_to >= p->until)) {
			batch_cut(&p->queue, &p->limits,
			    all && p->read_to >= p->until, b);
			break;
		}
		if (p->copying)
			rc = prefetch_wait(p, NULL, 0, -1);
	}
	if (rc != EXIT_DONE || signals_stop_requested())
		*b = (struct batch){0};
	return rc;
}

void
prefetch_done(struct prefetch *p, const struct batch *b)
{
	batch_pop(&p->queue, b);
}
