/*
 * A turn on a source: claim it, read a batch, deliver it, mark it, and so on
 * while batches are due, up to TURN_MS; then let it go.  No transaction is
 * open while a batch is delivered.
 *
 * A batch counts as processed when it was wholly written to stdout, or its
 * checkpoint came back through the ack channel, or the handler said so.
 */
#include "batcher.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "ack.h"
#include "clock.h"
#include "cursor.h"
#include "event_json.h"
#include "exitcode.h"
#include "fdio.h"
#include "log.h"
#include "num.h"
#include "stop.h"

#define TURN_MS        1000  /* on one source, while others may want it */
#define UNACKED        4     /* batches of a source at the most */
#define ACK_MS         10000 /* for the last acks */
#define POLL_MIN_MS    5
#define POLL_MAX_MS    1000
#define BACKOFF_MS     100 /* after a handler's first failure */
#define BACKOFF_MAX_MS 60000

struct batcher {
	const struct batcher_options *o;
	struct cursor_session session;
	struct cursor_list list;
	struct buf sources; /* an SQL array */
	struct batch batch;
	struct fdio_out out;
	struct ack_channel acks;
	struct ack_window window;
	struct cursor_mark unacked[UNACKED]; /* oldest first */
	size_t turn;                         /* where the next round begins */
	int64_t poll_ms;
};

/* Delivery */

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

static int
give_up(const struct batcher *b, struct view source, uint64_t attempts)
{
	log_error("could not process the batch %lld to %lld of source "
		  "\"%.*s\": its handler failed %llu times",
	    (long long)b->batch.first_id, (long long)b->batch.last_id,
	    VIEW_FMT(source), (unsigned long long)attempts);
	return EXIT_OPERATOR;
}

/* Until the handler has processed it, or fails for good, or we are told to
 * stop: then *done stays false, and the batch is the next one's. */
static int
deliver_to_handler(struct batcher *b, struct view source, bool *done)
{
	uint64_t failures = 0;
	enum handler_answer answer;
	int rc;

	for (uint64_t tries = 1; !stop_requested(); tries++) {
		rc = handler_run(&b->o->handler, &b->batch, source, &answer);
		*done = rc == EXIT_DONE && answer == HANDLER_PROCESSED;
		if (rc != EXIT_DONE || *done)
			return rc;
		if (answer == HANDLER_CANNOT)
			return EXIT_CONFIG;
		if (answer == HANDLER_FAILED && !stop_requested() &&
		    failures++ == b->o->retries)
			return give_up(b, source, failures);
		fdio_pause(backoff(tries));
	}
	return EXIT_DONE;
}

static int
deliver_to_stdout(struct batcher *b)
{
	char mark[20];

	buf_addv(&b->out.b, buf_view(&b->batch.text));
	if (b->o->ack != NULL)
		event_json_put_checkpoint(&b->out.b,
		    (struct view){mark,
			num_format_u64(mark, (uint64_t)b->batch.last_id)});
	return fdio_out_drain(&b->out, 0);
}

/* Acks */

static int
mark_acked(struct batcher *b, struct view source, size_t n)
{
	int rc = EXIT_DONE;

	for (size_t i = 0; i < n && rc == EXIT_DONE; i++)
		rc = cursor_mark(&b->session, source, &b->unacked[i]);
	for (size_t i = n; i < UNACKED; i++)
		b->unacked[i - n] = b->unacked[i];
	return rc;
}

static int
on_ack(struct batcher *b, struct view source, struct view text)
{
	uint64_t id;
	size_t popped;

	if (!num_parse_u64(text, &id))
		return ack_refuse(&b->acks, text, "not a checkpoint's value");
	switch (ack_received(&b->window, id, &popped)) {
	case ACK_NEW:
		return mark_acked(b, source, popped);
	case ACK_OLD:
		return EXIT_DONE;
	case ACK_UNKNOWN:
		break;
	}
	return ack_refuse(&b->acks, text, "no checkpoint that was sent");
}

static int
read_acks(struct batcher *b, struct view source)
{
	struct view text;
	int rc;

	while ((rc = ack_channel_next(&b->acks, &text)) == EXIT_DONE &&
	    text.p != NULL) {
		rc = on_ack(b, source, text);
		if (rc != EXIT_DONE)
			break;
	}
	return rc;
}

/*
 * Waits until at most `left` batches are unacknowledged.  At the end of the
 * stream stdout is closed first, since a consumer may hold its acks back until
 * it sees that, and then it does not wait for ever.
 */
static int
wait_acks(struct batcher *b, struct view source, size_t left, bool end)
{
	int64_t deadline = 0;
	int rc = read_acks(b, source);

	while (rc == EXIT_DONE && b->window.n > left) {
		if (b->acks.eof) {
			log_error(
			    "could not read \"%s\": end of file", b->acks.name);
			return end || stop_requested() ? EXIT_RETRY : EXIT_IO;
		}
		if (deadline == 0 && (end || stop_requested())) {
			deadline = clock_ms() + ACK_MS;
			rc = fdio_out_close(&b->out);
		} else if (deadline != 0 && clock_left(deadline) == 0) {
			log_error("could not stop in order: the last "
				  "checkpoint was not acknowledged");
			return EXIT_RETRY;
		}
		fdio_wait(b->acks.fd, POLLIN,
		    deadline != 0 ? clock_left(deadline) : -1);
		if (rc == EXIT_DONE)
			rc = read_acks(b, source);
	}
	return rc;
}

/* Turns */

static int
deliver(struct batcher *b, struct view source, const struct cursor_mark *m)
{
	bool done = true;
	int rc;

	if (b->o->handler.argv != NULL)
		rc = deliver_to_handler(b, source, &done);
	else
		rc = deliver_to_stdout(b);
	if (rc != EXIT_DONE || !done)
		return rc;
	log_info("delivered events %lld to %lld, %llu in all",
	    (long long)b->batch.first_id, (long long)b->batch.last_id,
	    (unsigned long long)b->batch.events);
	if (b->o->ack == NULL)
		return cursor_mark(&b->session, source, m);
	b->unacked[b->window.n] = *m;
	ack_sent(&b->window, (uint64_t)b->batch.last_id);
	return wait_acks(b, source, UNACKED - 1, false);
}

static bool
is_due(const struct batcher *b, const struct cursor *c)
{
	return b->o->once || cursor_waiting(c) >= b->o->batch_size ||
	    c->age_ms >= b->o->flush_interval;
}

static int
one_batch(struct batcher *b, struct cursor *c)
{
	struct cursor_mark m;
	int rc;

	batch_clear(&b->batch);
	rc = cursor_read(&b->session, c, &b->batch, &m);
	if (rc != EXIT_DONE)
		return rc;
	if (b->batch.events > 0)
		return deliver(b, c->source_id, &m);
	log_error("could not read the events of source \"%.*s\" after id "
		  "%lld: the ledger has %llu, the log none",
	    VIEW_FMT(c->source_id), (long long)c->last_id,
	    (unsigned long long)cursor_waiting(c));
	return EXIT_BUG;
}

/* Batches while they are due; what came after the list was made is looked at
 * in the next round. */
static int
take_turn(struct batcher *b, struct cursor *c, bool last)
{
	int64_t until = clock_ms() + TURN_MS;
	int rc = EXIT_DONE;

	while (rc == EXIT_DONE && c->last_id < c->newest_id && is_due(b, c) &&
	    !stop_requested() && (b->o->once || clock_left(until) > 0)) {
		rc = one_batch(b, c);
		/* the age was the first batch's */
		c->age_ms = 0;
	}
	if (rc == EXIT_DONE && b->o->ack != NULL)
		rc = wait_acks(b, c->source_id, 0, last);
	return rc;
}

/* Another process may have moved the cursor before we got the source. */
static int
refresh(struct batcher *b, const struct cursor *stale, struct cursor_list *l,
    struct cursor **fresh)
{
	int rc = cursor_pending(&b->session, l);

	*fresh = NULL;
	for (size_t i = 0; rc == EXIT_DONE && i < l->n; i++) {
		if (view_eq(l->cursors[i].source_id, stale->source_id))
			*fresh = &l->cursors[i];
	}
	return rc;
}

static int
work_on(struct batcher *b, const struct cursor *listed, bool last)
{
	struct cursor_list l = {0};
	struct cursor *c;
	bool got;
	int rc = cursor_claim(&b->session, listed, &got);

	if (rc != EXIT_DONE || !got)
		return rc;
	rc = refresh(b, listed, &l, &c);
	if (rc == EXIT_DONE && c != NULL) {
		if (b->o->once)
			c->newest_id = listed->newest_id;
		rc = take_turn(b, c, last);
	}
	cursor_list_release(&l);
	return rc == EXIT_DONE ? cursor_unclaim(&b->session, listed) : rc;
}

/* One look at all sources.  *wait is how long nothing will be due. */
static int
round_of_turns(struct batcher *b, int64_t *wait)
{
	bool worked = false;
	int64_t soonest = POLL_MAX_MS;
	int rc = cursor_pending(&b->session, &b->list);

	for (size_t i = 0; rc == EXIT_DONE && i < b->list.n; i++) {
		const struct cursor
		    *c = &b->list.cursors[(b->turn + i) % b->list.n];

		if (stop_requested())
			break;
		if (is_due(b, c)) {
			worked = true;
			rc = work_on(b, c, b->o->once && i + 1 == b->list.n);
		} else if (b->o->flush_interval - c->age_ms < soonest) {
			soonest = b->o->flush_interval - c->age_ms;
		}
	}
	b->turn++;
	b->poll_ms = worked || b->poll_ms == 0 ? POLL_MIN_MS : b->poll_ms * 2;
	if (b->poll_ms > POLL_MAX_MS)
		b->poll_ms = POLL_MAX_MS;
	*wait = b->poll_ms < soonest ? b->poll_ms : soonest;
	return rc;
}

/* Waits; an ack channel that loses its writer ends the run. */
static int
idle(struct batcher *b, int64_t wait)
{
	struct pollfd p[] = {
	    {stop_fd(), POLLIN, 0},
	    {b->o->ack != NULL ? b->acks.fd : -1, POLLIN, 0},
	    /* to notice when its reader has gone */
	    {b->out.fd, 0, 0},
	};
	int rc = EXIT_DONE;

	if (poll(p, 3, (int)wait) <= 0)
		return rc;
	if (p[0].revents != 0)
		stop_drain();
	if ((p[2].revents & POLLERR) != 0) {
		log_error("could not write \"stdout\": its reader has gone");
		return EXIT_IO;
	}
	if (p[1].revents != 0)
		rc = read_acks(b, VIEW_NULL);
	if (rc == EXIT_DONE && b->acks.eof) {
		log_error("could not read \"%s\": end of file", b->acks.name);
		rc = EXIT_IO;
	}
	return rc;
}

static int
run_loop(struct batcher *b)
{
	int64_t wait = 0;
	int rc = EXIT_DONE;

	while (rc == EXIT_DONE && !stop_requested()) {
		rc = round_of_turns(b, &wait);
		if (rc == EXIT_DONE && b->o->once)
			break;
		if (rc == EXIT_DONE && !stop_requested())
			rc = idle(b, wait);
	}
	return rc;
}

/* {"a","b"}, with quotes and backslashes escaped. */
static const char *
sql_array(struct buf *b, const char *const *items, size_t n)
{
	if (n == 0)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		buf_adds(b, i == 0 ? "{\"" : ",\"");
		for (const char *c = items[i]; *c != '\0'; c++) {
			if (*c == '"' || *c == '\\')
				buf_addc(b, '\\');
			buf_addc(b, *c);
		}
		buf_addc(b, '"');
	}
	buf_addc(b, '}');
	return buf_str(b);
}

static int
start(struct batcher *b)
{
	int rc = EXIT_DONE;

	b->acks.fd = -1;
	/* before all that can fail: the other side waits in its open */
	if (b->o->ack != NULL)
		rc = ack_channel_open(&b->acks, b->o->ack);
	b->session.consumer = b->o->consumer;
	b->session.sources = sql_array(
	    &b->sources, b->o->sources, b->o->nsources);
	b->batch.max_events = b->o->batch_size;
	b->batch.max_bytes = b->o->max_bytes;
	return rc == EXIT_DONE
	    ? cursor_open(&b->session, b->o->conninfo, b->o->latest)
	    : rc;
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
	b->out.fd = -1;
	/* a handler's stdout is ours: it stays as it is */
	if (o->handler.argv == NULL)
		fdio_out_init(&b->out, STDOUT_FILENO, "stdout");
	rc = start(b);
	if (rc == EXIT_DONE)
		rc = run_loop(b);
	closed = fdio_out_close(&b->out);
	pg_close(&b->session.pg);
	cursor_list_release(&b->list);
	ack_channel_close(&b->acks);
	batch_release(&b->batch);
	buf_release(&b->sources);
	free(b);
	return rc != EXIT_DONE ? rc : closed;
}
