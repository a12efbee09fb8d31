/*
 * A turn on a source: claim it, deliver and mark its batches while some are
 * due, up to TURN_MS; then let it go.  No transaction is open while a batch is
 * delivered.
 */
#include "batcher/batcher.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "base/signals.h"

#define TURN_MS      1000 /* on one source, while others may want it */
#define REST_MS      50   /* before its end, no more is read ahead */
#define POLL_MIN_MS  5
#define POLL_MAX_MS  1000
#define FLUSH_MIN_MS 50 /* polls are no further apart for shorter intervals */
#define CLAIM_MS     20 /* between attempts at a source that is claimed */
#define ONCE_MS      10000 /* for others to let it go, with --once */

/* An incomplete batch: since when we have seen it wait, and how large it is,
 * since it may be full before it has its number of events. */
struct partial {
	struct buf source;
	int64_t from; /* it begins after this event */
	int64_t seen; /* by clock_ms */
	int64_t to;
	uint64_t bytes;
};

struct batcher {
	const struct batcher_options *o;
	bool once;
	struct cursor_session session;
	struct prefetch ahead;
	struct delivery delivery;
	struct cursor_list list;
	struct buf sources; /* an SQL array */
	struct partial *partials;
	size_t npartials;
	size_t turn; /* where the next round begins */
	int64_t poll_ms;
	/* with once: of what was there at the start, a source that another
	 * process has; since when nothing was to be had */
	const struct cursor *held;
	struct patience patience;
	/* a source that was let go because another process waits for it */
	struct buf yielded;
	int64_t yielded_until;
};

/* When a batch is due */

static struct partial *
find_partial(struct batcher *b, struct view source)
{
	struct partial *p;

	for (size_t i = 0; i < b->npartials; i++) {
		if (view_eq(buf_view(&b->partials[i].source), source))
			return &b->partials[i];
	}
	p = realloc(b->partials, (b->npartials + 1) * sizeof(*p));
	if (p == NULL)
		return NULL;
	b->partials = p;
	p += b->npartials++;
	*p = (struct partial){.from = -1};
	buf_addv(&p->source, source);
	return p;
}

/* The one that begins at the cursor.  NULL: out of memory, which is logged. */
static struct partial *
partial_at(struct batcher *b, const struct cursor *c)
{
	struct partial *p = find_partial(b, c->source_id);

	if (p == NULL) {
		log_error("could not look at the batch: out of memory");
		return NULL;
	}
	if (p->from != c->last_id) {
		p->from = p->to = c->last_id;
		p->seen = clock_ms();
		p->bytes = 0;
	}
	return p;
}

/*
 * In how many milliseconds what there is will be a batch: flush_interval after
 * its first event was written, by the server's clock, or after we saw it first,
 * by ours.  The server's alone would not do: if it is set back, what was
 * written before does not grow older for as long.
 */
static int64_t
due_in(const struct batcher *b, const struct partial *p, const struct cursor *c)
{
	int64_t seen = clock_ms() - p->seen;

	return b->o->flush_interval - (seen > c->age_ms ? seen : c->age_ms);
}

/* Reads what has come since the last time, and throws it away: the ledger
 * knows no bytes. */
static int
measure(
    struct batcher *b, struct partial *p, const struct cursor *c, bool *full)
{
	struct cursor rest = *c;
	uint64_t bytes = 0;
	int rc = EXIT_DONE;

	if (p->to < c->newest_id) {
		rest.last_id = p->to;
		rc = prefetch_measure(&b->ahead, &rest, &bytes);
		p->to = c->newest_id;
		p->bytes += bytes;
	}
	*full = p->bytes >= b->o->limits.bytes;
	return rc;
}

/* *in: it will be in so many milliseconds, or before if it is full. */
static int
is_due(struct batcher *b, const struct cursor *c, bool *due, int64_t *in)
{
	struct partial *p;

	*due = b->once || cursor_waiting(c) >= b->o->limits.events;
	if (*due)
		return EXIT_DONE;
	p = partial_at(b, c);
	if (p == NULL)
		return EXIT_OS;
	*in = due_in(b, p, c);
	*due = *in <= 0;
	return *due ? EXIT_DONE : measure(b, p, c, due);
}

static bool
is_yielded(const struct batcher *b, const struct cursor *c)
{
	return clock_left(b->yielded_until) > 0 &&
	    view_eq(buf_view(&b->yielded), c->source_id);
}

/* Turns */

static int
nothing_read(const struct cursor *c)
{
	log_error("could not read the events of source \"%.*s\" after id "
		  "%lld: the ledger has %llu, the log none",
	    VIEW_FMT(c->source_id), (long long)c->last_id,
	    (unsigned long long)cursor_waiting(c));
	return EXIT_BUG;
}

/* Batches while they are due; what came after the list was made is looked at
 * in the next round. */
static int
take_turn(struct batcher *b, struct cursor *c)
{
	int64_t until = clock_ms() + TURN_MS;
	const struct partial *p = partial_at(b, c);
	bool rest = b->once || (p != NULL && due_in(b, p, c) <= 0);
	bool done = true;
	struct batch batch;
	uint64_t n = 0;
	int rc = p != NULL ? prefetch_aim(&b->ahead, c) : EXIT_OS;

	while (rc == EXIT_DONE && done && !signals_stop_requested() &&
	    (b->once || clock_left(until) > 0)) {
		/* so that little is read in vain */
		if (!b->once && clock_left(until) < REST_MS)
			prefetch_rest(&b->ahead);
		rc = prefetch_next(&b->ahead, rest, &batch);
		if (rc != EXIT_DONE || batch.events == 0)
			break;
		rc = delivery_batch(&b->delivery, c->source_id, &batch, &done);
		if (rc != EXIT_DONE || !done)
			break;
		prefetch_done(&b->ahead, &batch);
		n++;
		if (b->o->mode == CURSOR_PEEK)
			break;
		/* the age was the first batch's */
		rest = b->once;
	}
	if (rc == EXIT_DONE && n == 0 && done && !signals_stop_requested() &&
	    b->o->mode == CURSOR_CONSUME &&
	    b->ahead.read_to == b->ahead.until && b->ahead.queue.n == 0)
		rc = nothing_read(c);
	return rc;
}

/* Takes the source, whose cursor another process may have moved meanwhile. */
static int
take(
    struct batcher *b, const struct cursor *listed, struct cursor *c, bool *got)
{
	struct cursor_list l = {0};
	int rc = EXIT_DONE;

	*c = *listed;
	*got = true;
	if (b->o->mode == CURSOR_REPLAY)
		return rc;
	rc = cursor_take(&b->session, listed->source_id, got, &l);
	if (l.n > 0)
		*c = l.cursors[0];
	else
		c->last_id = c->newest_id;
	c->source_id = listed->source_id; /* which outlives l */
	if (b->once && c->newest_id > listed->newest_id)
		c->newest_id = listed->newest_id;
	cursor_list_release(&l);
	return rc;
}

static int
let_go(struct batcher *b, struct view source)
{
	bool wanted;
	int rc = cursor_let_go(&b->session, source, &wanted);

	if (wanted) {
		buf_clear(&b->yielded);
		buf_addv(&b->yielded, source);
		b->yielded_until = clock_ms() + (int64_t)2 * CLAIM_MS;
	}
	return rc;
}

/*
 * A stream that ends by itself is acknowledged as one: its consumer may do that
 * only at the end, so the sources are kept until then.
 */
static bool
keeps_all(const struct batcher *b)
{
	return b->once && b->o->ack != NULL;
}

static int
work_on(struct batcher *b, const struct cursor *listed, bool *got)
{
	struct cursor c;
	int rc = take(b, listed, &c, got);

	if (rc != EXIT_DONE || !*got)
		return rc;
	b->delivery.attempts.failing = c.failing;
	delivery_turn(&b->delivery);
	if (c.last_id < c.newest_id)
		rc = take_turn(b, &c);
	if (rc == EXIT_DONE && !keeps_all(b))
		rc = delivery_settle(&b->delivery, false);
	if (rc == EXIT_DONE && !keeps_all(b))
		rc = let_go(b, c.source_id);
	return rc;
}

/* How long to wait if nothing is known to be due before. */
static int64_t
longest_wait(const struct batcher *b)
{
	int64_t ms = b->o->flush_interval;

	if (ms > POLL_MAX_MS)
		return POLL_MAX_MS;
	return ms > FLUSH_MIN_MS ? ms : FLUSH_MIN_MS;
}

/* One look at all sources.  *wait is how long nothing will be due. */
static int
round_of_turns(struct batcher *b, int64_t *wait)
{
	int64_t soonest = longest_wait(b), in = 0;
	bool worked = false, due, got, wanted;
	int rc = EXIT_DONE;

	if (b->session.waiting && !keeps_all(b))
		rc = cursor_let_go(&b->session, VIEW_NULL, &wanted);
	/* once: what is left of the first list */
	if (rc == EXIT_DONE && (!b->once || b->held == NULL))
		rc = cursor_pending(&b->session, &b->list);
	b->held = NULL;

	for (size_t i = 0; rc == EXIT_DONE && i < b->list.n; i++) {
		struct cursor *c = &b->list.cursors[(b->turn + i) % b->list.n];

		if (signals_stop_requested())
			break;
		if (c->newest_id <= c->last_id)
			continue;
		if (is_yielded(b, c)) {
			soonest = CLAIM_MS;
			continue;
		}
		rc = is_due(b, c, &due, &in);
		if (rc == EXIT_DONE && due) {
			rc = work_on(b, c, &got);
			worked = worked || got;
			if (got) {
				c->last_id = c->newest_id;
			} else {
				b->held = c;
				soonest = CLAIM_MS;
			}
		} else if (in < soonest) {
			soonest = in;
		}
	}
	if (worked)
		patience_start(&b->patience, clock_ms());
	b->turn++;
	b->poll_ms = worked || b->poll_ms == 0 ? POLL_MIN_MS : b->poll_ms * 2;
	if (b->poll_ms > POLL_MAX_MS)
		b->poll_ms = POLL_MAX_MS;
	*wait = b->poll_ms < soonest ? b->poll_ms : soonest;
	return rc;
}

/* With once: another process has what we are to deliver.  False: for too long
 * already. */
static bool
may_come(struct batcher *b)
{
	enum patience_step step = patience_look(&b->patience, clock_ms());

	if (step == PATIENCE_SAY)
		log_warning("waiting for the source \"%.*s\": another process "
			    "of consumer \"%s\" has it",
		    VIEW_FMT(b->held->source_id), b->o->consumer);
	return step != PATIENCE_OVER;
}

static int
still_held(const struct batcher *b)
{
	log_error("could not deliver the source \"%.*s\": another process of "
		  "consumer \"%s\" has it",
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
		rc = round_of_turns(b, &wait);
		if (rc == EXIT_DONE && b->once &&
		    (b->held == NULL || !may_come(b)))
			break;
		if (rc == EXIT_DONE && !signals_stop_requested())
			rc = delivery_idle(&b->delivery, wait);
	}
	if (rc == EXIT_DONE && keeps_all(b))
		rc = delivery_settle(&b->delivery, true);
	if (rc == EXIT_DONE && b->once && b->held != NULL &&
	    !signals_stop_requested())
		rc = still_held(b);
	return rc;
}

/* What is read, and from which table. */
static int
set_up_reading(struct batcher *b)
{
	struct prefetch *a = &b->ahead;
	bool ok = true;

	a->limits = b->o->limits;
	a->table = "cdc_log";
	a->by_ledger = true;
	if (b->o->mode == CURSOR_REPLAY) {
		/* what is looked for may be far away */
		a->pg.slow = b->session.pg.slow = true;
		ok = replay_apply(&b->o->replay, &b->session, a);
	} else if (b->o->mode == CURSOR_LETTERS) {
		a->table = "cdc_dead_letters";
		a->by_ledger = false;
		buf_adds(&a->filter, " AND closed_at IS NULL AND consumer = ");
		ok = pg_add_literal(
		    &a->pg, &a->filter, view_of(b->o->consumer));
	}
	if (!ok)
		log_error("could not start: out of memory");
	return ok ? EXIT_DONE : EXIT_OS;
}

/* If we are killed the claims stay until the handler is gone. */
static int
start_guard(struct batcher *b)
{
	struct handler *h = &b->delivery.attempts.handler;

	return h->argv != NULL
	    ? guard_start(&h->guard, PQsocket(b->session.pg.conn))
	    : EXIT_DONE;
}

static int
start(struct batcher *b)
{
	const struct batcher_options *o = b->o;
	int rc;

	b->once = o->once || o->mode != CURSOR_CONSUME;
	b->session.mode = o->mode;
	b->session.once = b->once;
	b->session.consumer = o->consumer;
	b->session.latest = o->latest;
	for (size_t i = 0; i < o->nsources; i++)
		pg_array_add(&b->sources, view_of(o->sources[i]));
	if (o->nsources > 0)
		b->session.sources = pg_array_end(&b->sources);
	b->delivery.ack = o->ack;
	b->delivery.once = b->once;
	b->delivery.attempts = (struct retry){
	    .handler = o->handler,
	    .retries = o->retries,
	    .dead_letters = o->dead_letters,
	    .max_letters = o->max_letters,
	    .session = &b->session,
	    .ahead = &b->ahead,
	};
	b->delivery.attempts.handler.guard.fd = -1;
	/* before all that can fail: the other side waits in its open */
	rc = delivery_open(&b->delivery);
	if (rc == EXIT_DONE)
		rc = cursor_open(&b->session, o->conninfo);
	if (rc == EXIT_DONE)
		rc = start_guard(b);
	if (rc == EXIT_DONE)
		rc = prefetch_open(&b->ahead, o->conninfo);
	if (rc == EXIT_DONE && o->mode == CURSOR_REPLAY)
		rc = replay_find_tables(&o->replay, &b->session);
	return rc == EXIT_DONE ? set_up_reading(b) : rc;
}

static void
release(struct batcher *b)
{
	for (size_t i = 0; i < b->npartials; i++)
		buf_release(&b->partials[i].source);
	free(b->partials);
	prefetch_close(&b->ahead);
	pg_close(&b->session.pg);
	guard_end(&b->delivery.attempts.handler.guard);
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
