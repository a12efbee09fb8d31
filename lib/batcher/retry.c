#include "batcher/retry.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "base/signals.h"
#include "batcher/letters.h"

#define BACKOFF_MS     100 /* after the first failure */
#define BACKOFF_MAX_MS 60000

/* Doubles with each failure, with jitter so that processes do not retry in
 * step. */
static int64_t
backoff(uint64_t failures)
{
	int64_t ms = BACKOFF_MS;

	while (--failures > 0 && ms < BACKOFF_MAX_MS)
		ms *= 2;
	if (ms > BACKOFF_MAX_MS)
		ms = BACKOFF_MAX_MS;
	return ms - clock_ms() % (ms / 4 + 1);
}

/* Waits before the next attempt, prefetching meanwhile. */
static int
wait_after(struct retry *r, uint64_t failures)
{
	int64_t until = clock_ms() + backoff(failures);
	int rc = EXIT_DONE;

	while (rc == EXIT_DONE && !signals_stop_requested() &&
	    clock_left(until) > 0)
		rc = prefetch_wait(r->prefetch, NULL, 0, clock_left(until));
	return rc;
}

int
retry_failed(struct retry *r, struct view source, const struct batch *b,
    const struct handler_result *result)
{
	int rc = cursor_failed(r->session, source, b, result->status);

	return rc == EXIT_DONE && result->answer == HANDLER_CANNOT ? EXIT_CONFIG
								   : rc;
}

static int
attempt(struct retry *r, struct view source, const struct batch_queue *q,
    const struct batch *b, struct handler_result *result)
{
	return r->handler->serve
	    ? serve_run(r->serve, q, b, source, result)
	    : handler_run(r->handler, r->prefetch, q, b, source, result);
}

/* Runs the handler again while it answers "later"; records failures. */
static int
run(struct retry *r, struct view source, const struct batch_queue *q,
    const struct batch *b, struct handler_result *result)
{
	int rc = EXIT_DONE;

	result->answer = HANDLER_FAILED;
	for (uint64_t n = 1; rc == EXIT_DONE && !signals_stop_requested();
	     n++) {
		rc = attempt(r, source, q, b, result);
		if (rc != EXIT_DONE || result->answer == HANDLER_PROCESSED ||
		    signals_stop_requested())
			return rc;
		rc = retry_failed(r, source, b, result);
		if (rc != EXIT_DONE || result->answer != HANDLER_LATER)
			break;
		rc = wait_after(r, n);
	}
	return rc;
}

static int
mark(struct retry *r, struct view source, const struct batch *b)
{
	struct batch_mark m = batch_mark(&r->prefetch->queue, b);

	return cursor_mark(r->session, source, &m);
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
 * Bisecting a batch, from its first event to its last.  An event that fails
 * alone is a suspect until the handler has processed a later one: that shows
 * that the event is at fault, not the handler.  One statement then parks the
 * suspects and marks the events before them.
 */
struct isolation {
	struct retry *retry;
	struct view source;
	const struct batch *whole;
	uint64_t marked; /* events of the batch that are marked */
	uint64_t open;   /* dead letters of the consumer */
	struct letter *suspects;
	size_t n;
	struct handler_result result;
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

/* Marks the first `events` of the batch, parking the suspects among them. */
static int
mark_up_to(struct isolation *s, uint64_t events)
{
	const struct batch_queue *q = &s->retry->prefetch->queue;
	struct batch part = batch_part(
	    q, s->whole, s->marked, events - s->marked);
	struct batch_mark m = batch_mark(q, &part);
	int rc;

	s->marked = events;
	if (s->n == 0)
		return cursor_mark(s->retry->session, s->source, &m);
	rc = letters_park(s->retry->session, s->source, s->suspects, s->n, &m);
	if (rc == EXIT_DONE)
		log_parked(s);
	s->open += s->n;
	drop_suspects(s);
	return rc;
}

static int
flood(const struct isolation *s)
{
	log_error("could not park an event of source \"%.*s\": the limit of "
		  "%llu open dead letters is reached",
	    VIEW_FMT(s->source), (unsigned long long)s->retry->max_letters);
	log_hint("See philotes.cdc_dead_letters; --max-dead-letters sets the "
		 "limit.");
	return EXIT_OPERATOR;
}

/* The event failed alone. */
static int
add_suspect(struct isolation *s, const struct batch *event, uint64_t attempts)
{
	struct letter *more, *l;

	more = realloc(s->suspects, (s->n + 1) * sizeof(*more));
	if (more == NULL) {
		log_error("could not park an event: out of memory");
		return EXIT_OS;
	}
	s->suspects = more;
	l = &more[s->n++];
	*l = (struct letter){.id = event->first_id, .attempts = attempts};
	snprintf(l->status, sizeof(l->status), "%s", s->result.status);
	buf_addv(&l->stderr_tail, buf_view(&s->result.stderr_tail));
	return EXIT_DONE;
}

/* A dead letter that fails again stays open, whatever the handler does next. */
static int
suspect(struct isolation *s, const struct batch *event, uint64_t attempts)
{
	bool again = s->retry->session->mode == CURSOR_LETTERS;
	int rc;

	if (!again && s->open + s->n >= s->retry->max_letters)
		return flood(s);
	rc = add_suspect(s, event, attempts);
	if (rc != EXIT_DONE || !again)
		return rc;
	rc = letters_park_again(
	    s->retry->session, s->source, s->suspects, s->n);
	drop_suspects(s);
	s->marked = event->from - s->whole->from + 1;
	return rc;
}

/* Runs the n events after `skip`; if they fail, their halves.  They have failed
 * `attempts` times as part of a larger batch. */
static int
bisect(struct isolation *s, uint64_t skip, uint64_t n, uint64_t attempts)
{
	const struct batch_queue *q = &s->retry->prefetch->queue;
	struct batch part = batch_part(q, s->whole, skip, n);
	int rc = run(s->retry, s->source, q, &part, &s->result);

	if (rc == EXIT_DONE && s->result.answer == HANDLER_PROCESSED)
		return mark_up_to(s, skip + n);
	s->stopped = signals_stop_requested();
	if (rc != EXIT_DONE || s->stopped)
		return rc;
	if (n == 1)
		return suspect(s, &part, attempts + 1);
	rc = bisect(s, skip, n / 2, attempts + 1);
	if (rc == EXIT_DONE && !s->stopped)
		rc = bisect(s, skip + n / 2, n - n / 2, attempts + 1);
	return rc;
}

static int
handler_at_fault(const struct isolation *s)
{
	log_error("could not process event %lld of source \"%.*s\": the "
		  "handler failed on this event and on the last good one too",
	    (long long)s->suspects[0].id, VIEW_FMT(s->source));
	log_hint("Fix the handler; nothing was parked.");
	return EXIT_OPERATOR;
}

/* The batch ends with suspects: runs an event that was processed before, which
 * must succeed again. */
static int
try_neighbour(struct isolation *s)
{
	const struct batch_queue *from = &s->retry->prefetch->queue;
	struct batch_queue q = {
	    .numbers.on = from->numbers.on, .book = from->book};
	struct batch_limits one = {1, 1};
	struct batch b;
	int rc = letters_neighbour(
	    s->retry->session, s->source, s->suspects[0].id, &q);

	if (rc == EXIT_DONE && batch_cut(&q, &one, true, &b))
		rc = run(s->retry, s->source, &q, &b, &s->result);
	else if (rc == EXIT_DONE)
		s->result.answer = HANDLER_FAILED;
	batch_queue_release(&q);
	if (rc == EXIT_DONE && s->result.answer == HANDLER_PROCESSED)
		return mark_up_to(s, s->whole->events);
	s->stopped = signals_stop_requested();
	return rc != EXIT_DONE || s->stopped ? rc : handler_at_fault(s);
}

static int
isolate(struct retry *r, struct view source, const struct batch *b,
    uint64_t attempts, bool *done)
{
	struct isolation s = {.retry = r, .source = source, .whole = b};
	uint64_t half = b->events / 2;
	int rc = letters_count(r->session, &s.open);

	log_warning("bisecting the batch %lld to %lld of source \"%.*s\"",
	    (long long)b->first_id, (long long)b->last_id, VIEW_FMT(source));
	if (rc == EXIT_DONE && half > 0)
		rc = bisect(&s, 0, half, attempts);
	if (rc == EXIT_DONE && !s.stopped)
		rc = bisect(&s, half, b->events - half, attempts);
	if (rc == EXIT_DONE && !s.stopped && s.n > 0)
		rc = try_neighbour(&s);
	*done = rc == EXIT_DONE && !s.stopped;
	drop_suspects(&s);
	free(s.suspects);
	buf_release(&s.result.stderr_tail);
	return rc;
}

/* The handler failed `attempts` times. */
static int
fail(struct retry *r, struct view source, const struct batch *b,
    uint64_t attempts, bool *done)
{
	return r->dead_letters ? isolate(r, source, b, attempts, done)
			       : give_up(b, source, attempts);
}

/* The handler has failed `n` times so far. */
static int
process(struct retry *r, struct view source, const struct batch *b, uint64_t n,
    bool *done)
{
	struct handler_result result = {0};
	int rc = EXIT_DONE;

	while (rc == EXIT_DONE && !signals_stop_requested()) {
		if (n > r->retries) {
			rc = fail(r, source, b, n, done);
			break;
		}
		if (n > 0)
			rc = wait_after(r, n);
		if (rc == EXIT_DONE)
			rc = run(r, source, &r->prefetch->queue, b, &result);
		if (rc == EXIT_DONE && result.answer == HANDLER_PROCESSED) {
			rc = mark(r, source, b);
			*done = rc == EXIT_DONE;
			break;
		}
		n++;
	}
	buf_release(&result.stderr_tail);
	return rc;
}

int
retry_process(
    struct retry *r, struct view source, const struct batch *b, bool *done)
{
	*done = false;
	return process(r, source, b, 0, done);
}

int
retry_again(struct retry *r, struct view source, const struct batch *b,
    enum handler_answer answer, bool *done)
{
	int rc;

	*done = false;
	if (answer != HANDLER_LATER)
		return process(r, source, b, 1, done);
	rc = wait_after(r, 1);
	return rc == EXIT_DONE ? process(r, source, b, 0, done) : rc;
}
