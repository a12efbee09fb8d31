#include "batcher/retry.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/signals.h"

#define BACKOFF_MS     100 /* after the first failure */
#define BACKOFF_MAX_MS 60000

/* Doubles, with jitter so that many do not come back at once. */
static int64_t
backoff(uint64_t attempt)
{
	int64_t ms = BACKOFF_MS;

	while (--attempt > 0 && ms < BACKOFF_MAX_MS)
		ms *= 2;
	if (ms > BACKOFF_MAX_MS)
		ms = BACKOFF_MAX_MS;
	return ms - clock_ms() % (ms / 4 + 1);
}

/* Between attempts; what is read ahead meanwhile is taken in. */
static int
wait_before(struct retry *a, uint64_t attempt)
{
	int64_t until = clock_ms() + backoff(attempt);
	int rc = EXIT_DONE;

	while (rc == EXIT_DONE && !signals_stop_requested() &&
	    clock_left(until) > 0)
		rc = prefetch_wait(a->ahead, NULL, 0, clock_left(until));
	return rc;
}

/* A run, and further ones while it answers "later"; each that fails shows. */
static int
run(struct retry *a, struct view source, const struct batch_queue *q,
    const struct batch *b, struct handler_result *r)
{
	int rc = EXIT_DONE;

	r->answer = HANDLER_FAILED;
	for (uint64_t n = 1; rc == EXIT_DONE && !signals_stop_requested();
	     n++) {
		rc = handler_run(&a->handler, a->ahead, q, b, source, r);
		if (rc != EXIT_DONE || r->answer == HANDLER_PROCESSED ||
		    signals_stop_requested())
			return rc;
		a->failing = true;
		rc = cursor_failing(a->session, source, b, r->status);
		if (rc != EXIT_DONE || r->answer != HANDLER_LATER)
			break;
		rc = wait_before(a, n);
	}
	return rc == EXIT_DONE && r->answer == HANDLER_CANNOT ? EXIT_CONFIG
							      : rc;
}

static int
mark(struct retry *a, struct view source, const struct batch *b)
{
	struct batch_mark m = batch_mark(&a->ahead->queue, b);
	int rc = cursor_mark(a->session, source, &m);

	if (rc == EXIT_DONE && a->failing) {
		rc = cursor_recovered(a->session, source);
		a->failing = rc != EXIT_DONE;
	}
	return rc;
}

static int
give_up(const struct batch *b, struct view source, uint64_t attempts)
{
	log_error("could not process the batch %lld to %lld of source "
		  "\"%.*s\": its handler failed %llu times",
	    (long long)b->first_id, (long long)b->last_id, VIEW_FMT(source),
	    (unsigned long long)attempts);
	log_hint("Its own messages say why; buffer-batch --from '#%lld' --to "
		 "'#%lld' shows what it was given.",
	    (long long)b->first_id, (long long)b->last_id);
	return EXIT_OPERATOR;
}

/*
 * Taking a batch apart, from its first event to its last.  An event that fails
 * alone is a suspect until the handler has processed another one after it: then
 * it was not the handler that was at fault.  Suspects are parked and what
 * precedes is marked in one statement.
 */
struct isolation {
	struct retry *a;
	struct view source;
	const struct batch *whole;
	uint64_t attempts; /* at the whole, before */
	uint64_t settled;  /* events of it that are marked */
	uint64_t open;     /* letters that there are */
	struct cursor_letter *suspects;
	size_t n;
	struct handler_result r;
	bool stopped;
};

static void
drop_suspects(struct isolation *s)
{
	for (size_t i = 0; i < s->n; i++)
		buf_release(&s->suspects[i].stderr_tail);
	s->n = 0;
}

static void
log_parked(const struct isolation *s)
{
	for (size_t i = 0; i < s->n; i++)
		log_warning("parked event %lld of source \"%.*s\" as a dead "
			    "letter: %s",
		    (long long)s->suspects[i].id, VIEW_FMT(s->source),
		    s->suspects[i].status);
}

/* The batch's first `events` are done with. */
static int
settle(struct isolation *s, uint64_t events)
{
	struct batch part = batch_part(
	    &s->a->ahead->queue, s->whole, s->settled, events - s->settled);
	struct batch_mark m = batch_mark(&s->a->ahead->queue, &part);
	int rc;

	if (s->n == 0) {
		rc = mark(s->a, s->source, &part);
	} else {
		rc = cursor_park(
		    s->a->session, s->source, s->suspects, s->n, &m);
		if (rc == EXIT_DONE)
			log_parked(s);
		s->a->failing = false;
		s->open += s->n;
		drop_suspects(s);
	}
	s->settled = events;
	return rc;
}

static int
flood(const struct isolation *s)
{
	log_error("could not park an event of source \"%.*s\": there are %llu "
		  "dead letters already",
	    VIEW_FMT(s->source), (unsigned long long)(s->open + s->n));
	log_hint("See philotes.cdc_dead_letters; --max-dead-letters sets the "
		 "limit.");
	return EXIT_OPERATOR;
}

/* The event failed alone; a letter that failed again stays one. */
static int
suspect(struct isolation *s, const struct batch *event, uint64_t attempts)
{
	bool again = s->a->session->mode == CURSOR_LETTERS;
	struct cursor_letter *more = NULL, *l;
	int rc;

	if (!again && s->open + s->n >= s->a->max_letters)
		return flood(s);
	more = realloc(s->suspects, (s->n + 1) * sizeof(*more));
	if (more == NULL) {
		log_error("could not park an event: out of memory");
		return EXIT_OS;
	}
	s->suspects = more;
	l = &more[s->n++];
	*l = (struct cursor_letter){
	    .id = event->first_id, .attempts = attempts};
	snprintf(l->status, sizeof(l->status), "%s", s->r.status);
	buf_addv(&l->stderr_tail, buf_view(&s->r.stderr_tail));
	if (!again)
		return EXIT_DONE;
	rc = cursor_park(s->a->session, s->source, l, 1, NULL);
	drop_suspects(s);
	s->settled = event->from - s->whole->from +
	    1; /* it stays open, and we pass */
	return rc;
}

/* n events after `skip`; attempts is how often they failed with others. */
static int
narrow(struct isolation *s, uint64_t skip, uint64_t n, uint64_t attempts)
{
	struct batch part = batch_part(&s->a->ahead->queue, s->whole, skip, n);
	int rc = run(s->a, s->source, &s->a->ahead->queue, &part, &s->r);

	if (rc == EXIT_DONE && s->r.answer == HANDLER_PROCESSED)
		return settle(s, skip + n);
	s->stopped = signals_stop_requested();
	if (rc != EXIT_DONE || s->stopped)
		return rc;
	if (n == 1)
		return suspect(s, &part, attempts + 1);
	rc = narrow(s, skip, n / 2, attempts + 1);
	if (rc == EXIT_DONE && !s->stopped)
		rc = narrow(s, skip + n / 2, n - n / 2, attempts + 1);
	return rc;
}

/* Suspects at the end: an event that was processed before must succeed. */
static int
try_neighbour(struct isolation *s)
{
	struct batch_queue q = {0};
	struct batch_limits one = {1, 1};
	struct batch b;
	int rc = cursor_neighbour(
	    s->a->session, s->source, s->suspects[0].id, &q);

	if (rc == EXIT_DONE && batch_cut(&q, &one, true, &b))
		rc = run(s->a, s->source, &q, &b, &s->r);
	else if (rc == EXIT_DONE)
		s->r.answer = HANDLER_FAILED;
	batch_queue_release(&q);
	if (rc == EXIT_DONE && s->r.answer == HANDLER_PROCESSED)
		return settle(s, s->whole->events);
	s->stopped = signals_stop_requested();
	if (rc != EXIT_DONE || s->stopped)
		return rc;
	log_error("could not process event %lld of source \"%.*s\": its "
		  "handler failed, and with no event since has it succeeded",
	    (long long)s->suspects[0].id, VIEW_FMT(s->source));
	log_hint("It seems to be the handler that fails, not the event: mend "
		 "it; nothing was parked.");
	return EXIT_OPERATOR;
}

static int
isolate(struct retry *a, struct view source, const struct batch *b,
    uint64_t attempts, bool *done)
{
	struct isolation s = {.a = a, .source = source, .whole = b};
	uint64_t half = b->events / 2;
	int rc = cursor_letters(a->session, &s.open);

	log_warning("taking the batch %lld to %lld of source \"%.*s\" apart",
	    (long long)b->first_id, (long long)b->last_id, VIEW_FMT(source));
	if (rc == EXIT_DONE && half > 0)
		rc = narrow(&s, 0, half, attempts);
	if (rc == EXIT_DONE && !s.stopped)
		rc = narrow(&s, half, b->events - half, attempts);
	if (rc == EXIT_DONE && !s.stopped && s.n > 0)
		rc = try_neighbour(&s);
	*done = rc == EXIT_DONE && !s.stopped;
	drop_suspects(&s);
	free(s.suspects);
	buf_release(&s.r.stderr_tail);
	return rc;
}

int
retry_process(
    struct retry *a, struct view source, const struct batch *b, bool *done)
{
	struct handler_result r = {0};
	int rc = EXIT_DONE;

	*done = false;
	for (uint64_t n = 1; rc == EXIT_DONE && !signals_stop_requested();
	     n++) {
		rc = run(a, source, &a->ahead->queue, b, &r);
		if (rc != EXIT_DONE)
			break;
		if (r.answer == HANDLER_PROCESSED) {
			rc = mark(a, source, b);
			*done = rc == EXIT_DONE;
			break;
		}
		if (signals_stop_requested())
			break;
		if (n > a->retries) {
			rc = a->dead_letters ? isolate(a, source, b, n, done)
					     : give_up(b, source, n);
			break;
		}
		rc = wait_before(a, n);
	}
	buf_release(&r.stderr_tail);
	return rc;
}
