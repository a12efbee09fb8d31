/*
 * The way of a batch:
 *
 *	wait	until a batch of a source is due (due.h)
 *	lock	the source, so that no other process has it (cursor.h)
 *	fetch	the batch from the buffer (prefetch.h)
 *	deliver	it to stdout or to the handler (delivery.h, retry.h)
 *	mark	it as processed, and go on with the next one (cursor.h)
 *	release	the source (cursor.h)
 *
 * A source stays locked for a turn: while batches are due, up to TURN_MS.  No
 * transaction is open while a batch is delivered.
 */
#include "batcher/batcher.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "base/num.h"
#include "base/signals.h"
#include "batcher/due.h"

#define TURN_MS      1000 /* of a source: another process may wait for it */
#define REST_MS      50   /* before the end of a turn, prefetching stops */
#define POLL_MIN_MS  5
#define POLL_MAX_MS  1000
#define FLUSH_MIN_MS 50    /* polls are no closer for shorter flush intervals */
#define LOCK_MS      20    /* between attempts to lock a source */
#define ONCE_MS      10000 /* for others to release a source, with --once */

struct batcher {
	const struct batcher_options *o;
	bool once;
	struct cursor_session session;
	struct prefetch prefetch;
	struct delivery delivery;
	struct due due;
	struct schema_book book;
	struct cursor_list list; /* sources with waiting events */
	struct buf sources;      /* an SQL array */
	size_t first;            /* of the list: where the next round begins */
	int64_t poll_ms;
	/* a source in the list that another process has locked; with once we
	 * wait for it, as long as patience allows */
	const struct cursor *held;
	struct patience patience;
	/* a source that was released because another process waits for it */
	struct buf yielded;
	int64_t yielded_until;
};

/*
 * With --once and --ack the consumer may send its acks only at the end of the
 * stream, so the sources stay locked until then.
 */
static bool
keeps_locks(const struct batcher *b)
{
	return b->once && b->o->ack != NULL;
}

/* A turn */

static int
nothing_read(const struct cursor *c)
{
	log_error("could not read the events of source \"%.*s\" after id "
		  "%lld: the ledger has %llu, the log none",
	    VIEW_FMT(c->source_id), (long long)c->last_id,
	    (unsigned long long)cursor_waiting(c));
	return EXIT_BUG;
}

/* A turn ends at `until`; with once, when no batch is left.  Stops prefetching
 * shortly before the end. */
static bool
turn_goes_on(struct batcher *b, int64_t until)
{
	if (signals_stop_requested())
		return false;
	if (b->once)
		return true;
	if (clock_left(until) < REST_MS)
		prefetch_rest(&b->prefetch);
	return clock_left(until) > 0;
}

struct turn {
	const struct cursor *cursor;
	int64_t until;
	bool all;   /* an incomplete batch is due, too */
	uint64_t n; /* batches so far */
};

/* Delivers batches until no more are due.  Events that came after the cursor
 * was read wait for the next round. */
static int
deliver(struct batcher *b, struct turn *t)
{
	enum delivery_step step = DELIVERY_DONE;
	struct batch batch;
	int rc = EXIT_DONE;

	while (rc == EXIT_DONE && step != DELIVERY_STOPPED &&
	    turn_goes_on(b, t->until)) {
		rc = prefetch_next(&b->prefetch, t->all, &batch);
		if (rc != EXIT_DONE || batch.events == 0)
			break;
		rc = delivery_batch(&b->delivery, &batch, &step);
		if (rc != EXIT_DONE || step == DELIVERY_STOPPED)
			break;
		if (step == DELIVERY_DONE)
			prefetch_done(&b->prefetch, &batch);
		t->n++;
		if (b->o->mode == CURSOR_PEEK)
			break;
		/* only the first batch was due for its age */
		t->all = b->once;
	}
	if (rc == EXIT_DONE && t->n == 0 && step == DELIVERY_DONE &&
	    !signals_stop_requested() && b->o->mode == CURSOR_CONSUME &&
	    prefetch_is_empty(&b->prefetch))
		rc = nothing_read(t->cursor);
	return rc;
}

/* A served handler may fail after all batches were sent: then the rest of them
 * is delivered again. */
static int
deliver_and_settle(struct batcher *b, const struct cursor *c, bool all)
{
	struct turn t = {c, clock_ms() + TURN_MS, all, 0};
	bool again = true;
	int rc = prefetch_aim(&b->prefetch, c);

	delivery_turn(&b->delivery, c);
	while (rc == EXIT_DONE && again) {
		rc = deliver(b, &t);
		again = false;
		if (rc == EXIT_DONE && !keeps_locks(b))
			rc = delivery_settle(&b->delivery, &again);
	}
	return rc;
}

static int
release_source(struct batcher *b, struct view source)
{
	bool requested;
	int rc = cursor_release(&b->session, source, &requested);

	if (requested) {
		buf_clear(&b->yielded);
		buf_addv(&b->yielded, source);
		b->yielded_until = clock_ms() + (int64_t)2 * LOCK_MS;
	}
	return rc;
}

static int
take_turn(struct batcher *b, const struct cursor *listed, bool *locked)
{
	struct cursor c = *listed;
	enum due_what what = DUE_NOTHING;
	int64_t in;
	int rc = cursor_lock(&b->session, &c, locked);

	if (rc != EXIT_DONE || !*locked)
		return rc;
	/* another process may have delivered meanwhile */
	if (c.last_id < c.newest_id)
		rc = due_look(&b->due, &c, &what, &in);
	if (rc == EXIT_DONE && what != DUE_NOTHING)
		rc = deliver_and_settle(b, &c, what == DUE_ALL);
	if (rc != EXIT_DONE || keeps_locks(b))
		return rc;
	return release_source(b, c.source_id);
}

/* Rounds */

struct round {
	int64_t wait; /* ms until a source may be due */
	bool worked;  /* a source had a turn */
};

static bool
is_yielded(const struct batcher *b, const struct cursor *c)
{
	return clock_left(b->yielded_until) > 0 &&
	    view_eq(buf_view(&b->yielded), c->source_id);
}

static void
wait_at_most(struct round *r, int64_t ms)
{
	if (ms < r->wait)
		r->wait = ms;
}

/* Gives the source a turn if a batch of it is due. */
static int
visit(struct batcher *b, struct cursor *c, struct round *r)
{
	enum due_what what;
	bool locked;
	int64_t in;
	int rc;

	if (is_yielded(b, c)) {
		wait_at_most(r, LOCK_MS);
		return EXIT_DONE;
	}
	rc = due_look(&b->due, c, &what, &in);
	if (rc != EXIT_DONE)
		return rc;
	if (what == DUE_NOTHING) {
		wait_at_most(r, in);
		return EXIT_DONE;
	}
	rc = take_turn(b, c, &locked);
	if (locked) {
		c->last_id = c->newest_id;
		r->worked = true;
	} else {
		b->held = c;
		wait_at_most(r, LOCK_MS);
	}
	return rc;
}

/* Lists the sources with waiting events.  With once, keeps the first list, so
 * that later events are not delivered. */
static int
list_sources(struct batcher *b)
{
	bool requested;
	int rc = EXIT_DONE;

	if (b->session.requesting && !keeps_locks(b))
		rc = cursor_release(&b->session, VIEW_NULL, &requested);
	if (rc == EXIT_DONE && (!b->once || b->held == NULL))
		rc = cursor_pending(&b->session, &b->list);
	b->held = NULL;
	return rc;
}

/* How long to wait if no source is known to be due before. */
static int64_t
longest_wait(const struct batcher *b)
{
	int64_t ms = b->o->flush_interval;

	if (ms > POLL_MAX_MS)
		return POLL_MAX_MS;
	return ms > FLUSH_MIN_MS ? ms : FLUSH_MIN_MS;
}

/* Polls are further and further apart while no source has a turn. */
static int64_t
next_poll(struct batcher *b, bool worked)
{
	b->poll_ms = worked || b->poll_ms == 0 ? POLL_MIN_MS : b->poll_ms * 2;
	if (b->poll_ms > POLL_MAX_MS)
		b->poll_ms = POLL_MAX_MS;
	return b->poll_ms;
}

/* Visits each source once; *wait is the time in ms until the next round. */
static int
go_round(struct batcher *b, int64_t *wait)
{
	struct round r = {.wait = longest_wait(b)};
	int rc = list_sources(b);

	for (size_t i = 0; rc == EXIT_DONE && i < b->list.n; i++) {
		struct cursor *c = &b->list.cursors[(b->first + i) % b->list.n];

		if (signals_stop_requested())
			break;
		if (c->last_id < c->newest_id)
			rc = visit(b, c, &r);
	}
	b->first++;
	if (r.worked)
		patience_start(&b->patience, clock_ms());
	wait_at_most(&r, next_poll(b, r.worked));
	*wait = r.wait;
	return rc;
}

/* With once: is it worth waiting for the source that another process has
 * locked? */
static bool
worth_waiting(struct batcher *b)
{
	enum patience_step step = patience_look(&b->patience, clock_ms());

	if (step == PATIENCE_SAY)
		log_warning("waiting for the source \"%.*s\": another process "
			    "of consumer \"%s\" has it locked",
		    VIEW_FMT(b->held->source_id), b->o->consumer);
	return step != PATIENCE_OVER;
}

static int
refuse_held(const struct batcher *b)
{
	log_error("could not deliver the source \"%.*s\": another process of "
		  "consumer \"%s\" has it locked",
	    VIEW_FMT(b->held->source_id), b->o->consumer);
	return EXIT_RETRY;
}

static int
run_loop(struct batcher *b)
{
	int64_t wait = 0;
	int rc = EXIT_DONE;

	b->patience.limit = ONCE_MS;
	patience_start(&b->patience, clock_ms());
	while (rc == EXIT_DONE && !signals_stop_requested()) {
		rc = go_round(b, &wait);
		if (rc == EXIT_DONE && b->once &&
		    (b->held == NULL || !worth_waiting(b)))
			break;
		if (rc == EXIT_DONE && !signals_stop_requested())
			rc = delivery_idle(&b->delivery, wait);
	}
	if (rc == EXIT_DONE)
		rc = delivery_end(&b->delivery);
	if (rc == EXIT_DONE && b->once && b->held != NULL &&
	    !signals_stop_requested())
		rc = refuse_held(b);
	return rc;
}

/* Start and end */

/* Tells the prefetch what to read, and from which table. */
static int
set_up_reading(struct batcher *b)
{
	struct prefetch *p = &b->prefetch;
	bool ok = true;

	p->limits = b->o->limits;
	p->queue.numbers.on = b->o->safe_numbers;
	p->table = "cdc_log";
	p->by_ledger = true;
	if (b->o->mode == CURSOR_REPLAY) {
		/* the first event may be far away */
		p->pg.slow = b->session.pg.slow = true;
		ok = replay_apply(&b->o->replay, &b->session, p);
	} else if (b->o->mode == CURSOR_LETTERS) {
		p->table = "cdc_dead_letters";
		p->by_ledger = false;
		buf_adds(&p->filter, " AND closed_at IS NULL AND consumer = ");
		ok = pg_add_literal(
		    &p->pg, &p->filter, view_of(b->o->consumer));
	}
	if (!ok)
		log_error("could not start: out of memory");
	return ok ? EXIT_DONE : EXIT_OS;
}

/* Hands each part its options, and what it borrows. */
static void
hand_out_options(struct batcher *b)
{
	const struct batcher_options *o = b->o;

	b->once = o->once || o->mode != CURSOR_CONSUME;
	b->session.mode = o->mode;
	b->session.once = b->once;
	b->session.consumer = o->consumer;
	b->session.latest = o->latest;
	num_format_u64(b->session.batch_size, o->limits.events);
	for (size_t i = 0; i < o->nsources; i++)
		pg_array_add(&b->sources, view_of(o->sources[i]));
	if (o->nsources > 0)
		b->session.sources = pg_array_end(&b->sources);
	if (o->schema || o->ack != NULL || o->handler.serve)
		b->prefetch.queue.book = &b->book;
	b->due.limits = &o->limits;
	b->due.flush_interval = o->flush_interval;
	b->due.at_once = b->once;
	b->delivery.session = &b->session;
	b->delivery.prefetch = &b->prefetch;
	b->delivery.handler = o->handler;
	b->delivery.retry.retries = o->retries;
	b->delivery.retry.dead_letters = o->dead_letters;
	b->delivery.retry.max_letters = o->max_letters;
	b->delivery.ack = o->ack;
	b->delivery.window = o->window;
	b->delivery.once = b->once;
}

static int
start(struct batcher *b)
{
	const struct batcher_options *o = b->o;
	int rc;

	hand_out_options(b);
	/* first: the consumer may be blocked, opening the other end */
	rc = delivery_open(&b->delivery);
	if (rc == EXIT_DONE)
		rc = cursor_open(&b->session, o->conninfo);
	if (rc == EXIT_DONE)
		rc = delivery_start(&b->delivery);
	if (rc == EXIT_DONE)
		rc = prefetch_open(&b->prefetch, o->conninfo);
	if (rc == EXIT_DONE && o->mode == CURSOR_REPLAY)
		rc = replay_find_tables(&o->replay, &b->session);
	return rc == EXIT_DONE ? set_up_reading(b) : rc;
}

static void
release(struct batcher *b)
{
	due_release(&b->due);
	prefetch_close(&b->prefetch);
	schema_book_release(&b->book);
	pg_close(&b->session.pg);
	cursor_list_release(&b->list);
	buf_release(&b->sources);
	buf_release(&b->yielded);
	free(b);
}

int
batcher_run(const struct batcher_options *o)
{
	struct batcher *b = calloc(1, sizeof(*b));
	int rc, closed;

	if (b == NULL) {
		log_error("could not start: out of memory");
		return EXIT_OS;
	}
	b->o = o;
	rc = start(b);
	if (rc == EXIT_DONE)
		rc = run_loop(b);
	closed = delivery_close(&b->delivery);
	release(b);
	return rc != EXIT_DONE ? rc : closed;
}
