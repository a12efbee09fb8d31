#include "batcher/cursor.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/exitcode.h"
#include "base/log.h"
#include "base/num.h"
#include "buffer/store.h"
#include "sql.h"

#define OTHER_MARKED \
	"Another process recorded it first; the batch may be delivered twice."

static const char marking[] = "mark the batch as processed";

static const char looking[] = "look for waiting events";

static int
unexpected(const char *doing)
{
	log_error("could not %s: unexpected answer", doing);
	return EXIT_BUG;
}

static bool
is_true(const PGresult *res)
{
	return view_eq(pg_value(res, 0, 0), VIEW_LIT("t"));
}

static int
add_consumer(struct cursor_session *s)
{
	static const char doing[] = "find the consumer";
	const char *params[] = {s->consumer, s->latest ? "t" : "f"};
	PGresult *res;
	int rc;

	if (s->mode == CURSOR_CONSUME)
		return pg_query(&s->pg, "register the consumer",
		    SQL_ADD_CONSUMER, 2, params, NULL);
	if (s->mode != CURSOR_LETTERS)
		return EXIT_DONE;
	rc = pg_query(&s->pg, doing, SQL_CONSUMER_EXISTS, 1, params, &res);
	if (rc == EXIT_DONE && !is_true(res)) {
		log_error("could not find the consumer \"%s\": it is not "
			  "registered",
		    s->consumer);
		log_hint("\"philotes consumer list\" shows the registered "
			 "ones.");
		rc = EXIT_CONFIG;
	}
	PQclear(res);
	return rc;
}

/* A name that the buffer does not know is mistyped, or that of a pipeline that
 * has not begun. */
static int
find_sources(struct cursor_session *s)
{
	PGresult *res = NULL;
	struct view name;
	int rc;

	if (s->sources == NULL)
		return EXIT_DONE;
	rc = pg_query(&s->pg, "find the sources", SQL_UNKNOWN_SOURCE, 1,
	    &s->sources, &res);
	if (rc == EXIT_DONE && PQntuples(res) > 0) {
		name = pg_value(res, 0, 0);
		if (s->once) {
			log_error("could not find the source \"%.*s\": the "
				  "buffer does not know it",
			    VIEW_FMT(name));
			log_hint("The table philotes.cdc_sources lists the "
				 "sources that it knows.");
			rc = EXIT_CONFIG;
		} else {
			log_warning("the buffer does not know the source "
				    "\"%.*s\" yet: waiting for it",
			    VIEW_FMT(name));
		}
	}
	PQclear(res);
	return rc;
}

int
cursor_open(struct cursor_session *s, const char *conninfo)
{
	int rc = store_open(&s->pg, conninfo);

	if (rc == EXIT_DONE)
		rc = pg_query(&s->pg, "set up the session on the buffer",
		    SQL_SESSION_READ, 0, NULL, NULL);
	if (rc == EXIT_DONE)
		rc = find_sources(s);
	return rc == EXIT_DONE ? add_consumer(s) : rc;
}

/* Waiting events */

/* The columns of pending.sql. */
static bool
get_cursor(const PGresult *res, int row, struct cursor *c)
{
	*c = (struct cursor){.source_id = pg_value(res, row, 0)};
	c->failing = view_eq(pg_value(res, row, 7), VIEW_LIT("t"));
	return num_parse_i64(pg_value(res, row, 1), &c->last_id) &&
	    num_parse_u64(pg_value(res, row, 2), &c->total) &&
	    num_parse_i64(pg_value(res, row, 3), &c->write_no) &&
	    num_parse_i64(pg_value(res, row, 4), &c->newest_id) &&
	    num_parse_u64(pg_value(res, row, 5), &c->newest_total) &&
	    (PQgetisnull(res, row, 6) ||
		num_parse_i64(pg_value(res, row, 6), &c->age_ms)) &&
	    (PQgetisnull(res, row, 8) ||
		num_parse_u64(pg_value(res, row, 8), &c->bytes));
}

void
cursor_list_release(struct cursor_list *l)
{
	free(l->cursors);
	PQclear(l->texts);
	*l = (struct cursor_list){0};
}

static const char *
or_null(const char *text)
{
	return *text != '\0' ? text : NULL;
}

/* Its parameters go into params; source NULL: all. */
static struct pg_call
pending_call(
    const struct cursor_session *s, const char *source, const char *params[5])
{
	params[0] = s->consumer;
	params[1] = s->sources;
	params[2] = source;
	params[3] = s->latest ? "t" : "f";
	params[4] = s->batch_size;
	switch (s->mode) {
	case CURSOR_CONSUME:
	case CURSOR_PEEK:
		return (struct pg_call){SQL_PENDING, 5, params, NULL};
	case CURSOR_LETTERS:
		return (struct pg_call){SQL_LETTERS, 3, params, NULL};
	case CURSOR_REPLAY:
		break;
	}
	params[0] = s->sources;
	params[1] = or_null(s->span.from_id);
	params[2] = or_null(s->span.to_id);
	params[3] = or_null(s->span.from_lsn);
	return (struct pg_call){SQL_REPLAY, 4, params, NULL};
}

/* Takes res over. */
static int
fill_list(struct cursor_list *l, PGresult *res)
{
	cursor_list_release(l);
	l->texts = res;
	l->n = (size_t)PQntuples(l->texts);
	l->cursors = calloc(l->n + 1, sizeof(*l->cursors));
	if (l->cursors == NULL) {
		log_error("could not %s: out of memory", looking);
		return EXIT_OS;
	}
	for (size_t i = 0; i < l->n; i++) {
		if (!get_cursor(l->texts, (int)i, &l->cursors[i]))
			return unexpected(looking);
	}
	return EXIT_DONE;
}

int
cursor_pending(struct cursor_session *s, struct cursor_list *l)
{
	const char *params[5];
	struct pg_call pending = pending_call(s, NULL, params);
	int rc = cursor_settle(s);

	if (rc == EXIT_DONE)
		rc = pg_query_again(&s->pg, looking, &pending, 1);
	if (rc != EXIT_DONE) {
		PQclear(pending.res);
		return rc;
	}
	return fill_list(l, pending.res);
}

/* Locks */

/* The parameters of lock.sql, request.sql and release.sql. */
static void
set_lock(
    const struct cursor_session *s, const char *source, const char *params[3])
{
	params[0] = s->consumer;
	params[1] = source;
	params[2] = s->mode == CURSOR_LETTERS ? "letters" : "batch";
}

static bool
needs_lock(const struct cursor_session *s)
{
	return s->mode == CURSOR_CONSUME || s->mode == CURSOR_LETTERS;
}

/* Another process may have moved the cursor since it was listed.  Takes res
 * over. */
static int
refresh(struct cursor_session *s, struct cursor *c, PGresult *res)
{
	struct view source = c->source_id; /* outlives the list */
	int64_t newest_id = c->newest_id;
	struct cursor_list l = {0};
	int rc = fill_list(&l, res);

	if (rc == EXIT_DONE && l.n > 0)
		*c = l.cursors[0];
	else
		c->last_id = c->newest_id;
	c->source_id = source;
	if (s->once && c->newest_id > newest_id)
		c->newest_id = newest_id;
	s->failing = c->failing;
	cursor_list_release(&l);
	return rc;
}

static int
request(struct cursor_session *s, const char *params[3])
{
	s->requesting = true;
	return pg_query(
	    &s->pg, "request the source", SQL_REQUEST, 3, params, NULL);
}

int
cursor_lock(struct cursor_session *s, struct cursor *c, bool *locked)
{
	struct buf name = BUF_INIT;
	const char *lock[3], *params[5];
	struct pg_call calls[2] = {{SQL_LOCK, 3, lock, NULL}};
	bool locks = needs_lock(s);
	int rc = cursor_settle(s);

	*locked = true;
	if (s->mode == CURSOR_REPLAY)
		return rc;
	buf_addv(&name, c->source_id);
	set_lock(s, buf_str(&name), lock);
	calls[1] = pending_call(s, lock[1], params);
	if (rc == EXIT_DONE)
		rc = pg_query_again(&s->pg, looking, calls + !locks, 1 + locks);
	*locked = rc == EXIT_DONE && (!locks || is_true(calls[0].res));
	if (*locked) {
		rc = refresh(s, c, calls[1].res);
		calls[1].res = NULL;
	} else if (rc == EXIT_DONE) {
		rc = request(s, lock);
	}
	PQclear(calls[0].res);
	PQclear(calls[1].res);
	buf_release(&name);
	return rc;
}

int
cursor_release(struct cursor_session *s, struct view source, bool *requested)
{
	struct buf name = BUF_INIT;
	const char *params[3];
	struct pg_call call = {SQL_RELEASE, 3, params, NULL};
	int rc = cursor_settle(s);

	*requested = false;
	if (!needs_lock(s))
		return rc;
	s->requesting = false;
	buf_addv(&name, source);
	set_lock(s, buf_str(&name), params);
	if (rc == EXIT_DONE)
		rc = pg_query_again(&s->pg, "release the source", &call, 1);
	*requested = rc == EXIT_DONE && is_true(call.res);
	PQclear(call.res);
	buf_release(&name);
	return rc;
}

/* Marks */

void
cursor_params(struct cursor_params *p, const struct cursor_session *s,
    struct view source, const struct batch_mark *m)
{
	const int64_t numbers[5] = {m->first_id, m->last_id, (int64_t)m->events,
	    (int64_t)m->total, m->write_no};

	*p = (struct cursor_params){.source = BUF_INIT};
	buf_addv(&p->source, source);
	p->p[0] = s->consumer;
	p->p[1] = buf_str(&p->source);
	for (int i = 0; i < 5; i++) {
		snprintf(p->numbers[i], sizeof(p->numbers[i]), "%lld",
		    (long long)numbers[i]);
		p->p[2 + i] = p->numbers[i];
	}
}

/* mark.sql inserted no row: the consumer was dropped, or its cursor moved. */
static int
no_mark(struct cursor_session *s)
{
	PGresult *res;
	int rc = pg_query(
	    &s->pg, marking, SQL_CONSUMER_EXISTS, 1, &s->consumer, &res);
	bool there = rc == EXIT_DONE && is_true(res);

	PQclear(res);
	if (rc != EXIT_DONE)
		return rc;
	if (!there) {
		log_error("could not %s: consumer \"%s\" was dropped", marking,
		    s->consumer);
		return EXIT_OPERATOR;
	}
	log_error("could not %s: the cursor of consumer \"%s\" was moved by "
		  "another process",
	    marking, s->consumer);
	log_hint(OTHER_MARKED);
	return EXIT_RETRY;
}

int
cursor_check_mark(
    struct cursor_session *s, int rc, const PGresult *res, bool count)
{
	if (rc != EXIT_DONE && pg_is_state(res, "23505")) {
		log_hint(OTHER_MARKED);
		return EXIT_RETRY;
	}
	if (rc == EXIT_DONE && count &&
	    strcmp(PQcmdTuples((PGresult *)res), "1") != 0)
		return no_mark(s);
	return rc;
}

int
cursor_settle(struct cursor_session *s)
{
	PGresult *res;
	int rc;

	if (!s->marking)
		return EXIT_DONE;
	s->marking = false;
	rc = pg_finish(&s->pg, marking, &res);
	rc = cursor_check_mark(s, rc, res, s->mode == CURSOR_CONSUME);
	PQclear(res);
	return rc;
}

static int
send_mark(
    struct cursor_session *s, struct view source, const struct batch_mark *m)
{
	bool letters = s->mode == CURSOR_LETTERS;
	int n = letters ? 4 : 7, sent, rc;
	struct cursor_params p;
	const char *name;

	rc = pg_prepare(
	    &s->pg, marking, letters ? SQL_CLOSE_LETTERS : SQL_MARK, n, &name);
	if (rc != EXIT_DONE)
		return rc;
	cursor_params(&p, s, source, m);
	sent = PQsendQueryPrepared(s->pg.conn, name, n, p.p, NULL, NULL, 0);
	buf_release(&p.source);
	if (sent == 0)
		return pg_failed(&s->pg, marking, NULL);
	s->marking = true;
	return EXIT_DONE;
}

/* The row of cdc_retries goes. */
static int
recovered(struct cursor_session *s, struct view source)
{
	struct buf name = BUF_INIT;
	const char *params[] = {s->consumer, NULL};
	int rc = cursor_settle(s);

	buf_addv(&name, source);
	params[1] = buf_str(&name);
	if (rc == EXIT_DONE)
		rc = pg_query(&s->pg, "record that the batch fails no more",
		    SQL_RECOVERED, 2, params, NULL);
	s->failing = rc != EXIT_DONE;
	buf_release(&name);
	return rc;
}

int
cursor_mark(
    struct cursor_session *s, struct view source, const struct batch_mark *m)
{
	int rc = cursor_settle(s);

	if (rc != EXIT_DONE || !needs_lock(s))
		return rc;
	rc = send_mark(s, source, m);
	return rc == EXIT_DONE && s->failing ? recovered(s, source) : rc;
}

/* Failures */

int
cursor_failed(struct cursor_session *s, struct view source,
    const struct batch *b, const char *status)
{
	const struct batch_mark m = {
	    .first_id = b->first_id, .last_id = b->last_id};
	struct cursor_params p;
	int rc = cursor_settle(s);

	if (rc != EXIT_DONE || s->mode != CURSOR_CONSUME)
		return rc;
	s->failing = true;
	cursor_params(&p, s, source, &m);
	p.p[4] = status;
	rc = pg_query(
	    &s->pg, "record that the batch failed", SQL_FAILING, 5, p.p, NULL);
	buf_release(&p.source);
	return rc;
}
