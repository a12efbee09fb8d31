#include "batcher/delivery.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "base/signals.h"

#define ACK_MS 10000 /* for the last acks */

static void
lend(struct delivery *d)
{
	d->peer.session = d->session;
	d->retry.handler = &d->handler;
	d->retry.serve = &d->serve;
	d->retry.session = d->session;
	d->retry.prefetch = d->prefetch;
	d->serve.handler = &d->handler;
	d->serve.prefetch = d->prefetch;
	d->serve.peer = &d->peer;
	d->serve.window = d->window;
	d->serve.once = d->once;
	serve_open(&d->serve);
}

int
delivery_open(struct delivery *d)
{
	d->peer.acks.fd = -1;
	d->out.fd = -1;
	d->handler.guard.fd = -1;
	lend(d);
	/* a handler inherits our stdout: leave its flags alone */
	if (d->handler.argv == NULL)
		fdio_out_init(&d->out, STDOUT_FILENO, "stdout");
	return d->ack != NULL ? ack_channel_open(&d->peer.acks, d->ack)
			      : EXIT_DONE;
}

int
delivery_start(struct delivery *d)
{
	return d->handler.argv != NULL
	    ? guard_start(&d->handler.guard, PQsocket(d->session->pg.conn))
	    : EXIT_DONE;
}

int
delivery_close(struct delivery *d)
{
	int rc = fdio_out_close(&d->out);

	serve_close(&d->serve);
	ack_channel_close(&d->peer.acks);
	guard_end(&d->handler.guard);
	return rc;
}

/* Writing to stdout */

/* Writes what is queued.  Acks are read meanwhile: a consumer may block while
 * it writes them. */
static int
push(struct delivery *d)
{
	int rc = fdio_out_flush(&d->out);

	while (rc == EXIT_DONE && fdio_out_pending(&d->out) > 0) {
		struct pollfd p[] = {
		    {d->out.fd, POLLOUT, 0},
		    {d->peer.acks.eof ? -1 : d->peer.acks.fd, POLLIN, 0},
		};

		if (signals_stop_requested())
			return fdio_out_drain(&d->out, 0);
		rc = prefetch_wait(d->prefetch, p, 2, -1);
		if (rc == EXIT_DONE && p[1].revents != 0)
			rc = peer_read_acks(&d->peer);
		if (rc == EXIT_DONE)
			rc = fdio_out_flush(&d->out);
	}
	return rc;
}

static int
write_batch(struct delivery *d, const struct batch *b)
{
	size_t done = 0;
	int rc = EXIT_DONE;

	while (rc == EXIT_DONE &&
	    batch_piece(&d->prefetch->queue, b, &done, &d->out.b))
		rc = push(d);
	return rc;
}

/* Acks */

static int
acks_ended(const struct delivery *d, bool expected)
{
	log_error("could not read \"%s\": end of file", d->peer.acks.name);
	return expected || signals_stop_requested() ? EXIT_RETRY : EXIT_IO;
}

/* Has the consumer read all that we wrote? */
static bool
all_was_read(const struct delivery *d)
{
	int left = 0;

	return ioctl(d->out.fd, FIONREAD, &left) != 0 || left == 0;
}

/*
 * Waits until at most `left` batches are unacknowledged; after `end` or a stop
 * it closes stdout and waits ACK_MS at most.
 *
 * With --once the consumer may be waiting for the end of the stream before it
 * sends an ack.  So if it has read everything and has never sent one, this
 * returns after ACK_MS, although more than `left` are unacknowledged.
 */
static int
wait_acks(struct delivery *d, size_t left, bool end)
{
	struct pollfd p = {d->peer.acks.fd, POLLIN, 0};
	int64_t until = clock_ms() + ACK_MS;
	bool closed = false, limited;
	int rc = peer_read_acks(&d->peer);

	while (rc == EXIT_DONE && d->peer.window.n > left) {
		if (d->peer.acks.eof)
			return acks_ended(d, end);
		limited = closed || (d->once && !d->peer.heard);
		if (!closed && (end || signals_stop_requested())) {
			until = clock_ms() + ACK_MS;
			limited = closed = true;
			rc = fdio_out_close(&d->out);
		} else if (closed && clock_left(until) == 0) {
			log_error("could not stop cleanly: the last checkpoint "
				  "was not acknowledged");
			return EXIT_RETRY;
		} else if (limited && clock_left(until) == 0) {
			if (all_was_read(d))
				return rc;
			until = clock_ms() + ACK_MS;
		}
		if (rc == EXIT_DONE)
			rc = prefetch_wait(d->prefetch, &p, 1,
			    limited ? clock_left(until) : -1);
		if (rc == EXIT_DONE)
			rc = peer_read_acks(&d->peer);
	}
	return rc;
}

/* Ends the stream early, for a consumer that waits for its end. */
static int
end_early(struct delivery *d)
{
	int rc = wait_acks(d, 0, true);

	if (rc != EXIT_DONE)
		return rc;
	log_error("could not deliver all: the first batches were acknowledged "
		  "only when the stream ended");
	log_hint("Such a consumer gets at most %zu batches of a source per "
		 "run; --window sets that number.",
	    d->window);
	return EXIT_RETRY;
}

/* Waits until one more batch may be sent; *room is false after a stop. */
static int
make_room(struct delivery *d, bool *room)
{
	size_t left = d->window - 1;
	int rc;

	if (d->batches++ < d->window && !ack_full(&d->peer.window))
		return EXIT_DONE;
	rc = wait_acks(d, left, false);
	if (rc == EXIT_DONE && d->peer.window.n > left)
		rc = end_early(d);
	*room = rc == EXIT_DONE && !signals_stop_requested();
	return rc;
}

/* Batches */

static int
to_stdout(struct delivery *d, const struct batch *b, enum delivery_step *step)
{
	struct batch_mark mark = batch_mark(&d->prefetch->queue, b);
	int rc = write_batch(d, b);

	*step = DELIVERY_DONE;
	return rc == EXIT_DONE
	    ? cursor_mark(d->session, d->turn->source_id, &mark)
	    : rc;
}

/* The ack will mark it. */
static int
with_acks(struct delivery *d, const struct batch *b, enum delivery_step *step)
{
	const struct batch_queue *q = &d->prefetch->queue;
	struct peer_batch batch = {
	    d->turn->source_id, batch_mark(q, b), b->first_id, true};
	bool room = true;
	int rc = make_room(d, &room);

	if (rc != EXIT_DONE || !room)
		return rc;
	*step = DELIVERY_DONE;
	peer_begin(&d->peer, &batch);
	while (rc == EXIT_DONE && peer_queue(&d->peer, &d->out, q, b))
		rc = push(d);
	return rc == EXIT_DONE ? peer_read_acks(&d->peer) : rc;
}

static int
to_handler(struct delivery *d, const struct batch *b, enum delivery_step *step)
{
	bool done;
	int rc = retry_process(&d->retry, d->turn->source_id, b, &done);

	if (done)
		*step = DELIVERY_DONE;
	return rc;
}

static int
record_failure(struct delivery *d, const struct peer_batch *lost,
    const struct handler_result *result)
{
	const struct batch b = {
	    .first_id = lost->first_id, .last_id = lost->mark.last_id};

	return retry_failed(&d->retry, lost->source, &b, result);
}

/* A served handler has failed.  The batches that it has not acknowledged are
 * read again, and the first of them is delivered until it is processed. */
static int
recover(struct delivery *d, enum delivery_step *step)
{
	const struct batch_mark *lost = &d->serve.lost.mark;
	struct cursor place = *d->turn;
	struct batch b = {0};
	bool done;
	int rc = record_failure(d, &d->serve.lost, &d->serve.result);

	place.last_id = lost->first_id - 1;
	place.total = lost->total - lost->events;
	if (rc == EXIT_DONE)
		rc = prefetch_aim(d->prefetch, &place);
	if (rc == EXIT_DONE)
		rc = prefetch_next(d->prefetch, true, &b);
	if (rc != EXIT_DONE || b.events == 0)
		return rc;
	rc = retry_again(
	    &d->retry, place.source_id, &b, d->serve.result.answer, &done);
	if (rc != EXIT_DONE || !done)
		return rc;
	prefetch_done(d->prefetch, &b);
	*step = DELIVERY_AGAIN;
	return rc;
}

/* After a call of serve.h. */
static int
check_served(struct delivery *d, int rc, enum serve_state state,
    enum delivery_step *step)
{
	static const struct handler_result wrong = {
	    .answer = HANDLER_FAILED, .status = "wrong ack"};
	struct peer_batch oldest;

	if (rc == EXIT_PROTOCOL && peer_waits(&d->peer, &oldest))
		record_failure(d, &oldest, &wrong);
	if (rc != EXIT_DONE)
		return rc;
	if (state == SERVE_GOOD)
		*step = DELIVERY_DONE;
	return state == SERVE_FAILED && !signals_stop_requested()
	    ? recover(d, step)
	    : rc;
}

static int
to_served(struct delivery *d, const struct batch *b, enum delivery_step *step)
{
	enum serve_state state;
	int rc = serve_send(&d->serve, d->turn->source_id, &d->prefetch->queue,
	    b, true, &state);

	return check_served(d, rc, state, step);
}

void
delivery_turn(struct delivery *d, const struct cursor *c)
{
	d->turn = c;
	d->batches = 0;
}

int
delivery_batch(
    struct delivery *d, const struct batch *b, enum delivery_step *step)
{
	int rc;

	*step = DELIVERY_STOPPED;
	if (d->handler.serve)
		rc = to_served(d, b, step);
	else if (d->handler.argv != NULL)
		rc = to_handler(d, b, step);
	else if (d->ack != NULL)
		rc = with_acks(d, b, step);
	else
		rc = to_stdout(d, b, step);
	if (rc == EXIT_DONE && *step == DELIVERY_DONE)
		log_info("delivered events %lld to %lld, %llu in all",
		    (long long)b->first_id, (long long)b->last_id,
		    (unsigned long long)b->events);
	return rc;
}

int
delivery_settle(struct delivery *d, bool *again)
{
	enum delivery_step step = DELIVERY_DONE;
	enum serve_state state;
	int rc = EXIT_DONE;

	if (d->ack != NULL)
		rc = wait_acks(d, 0, false);
	if (d->handler.serve) {
		rc = serve_settle(&d->serve, &state);
		rc = check_served(d, rc, state, &step);
	}
	*again = step == DELIVERY_AGAIN;
	return rc == EXIT_DONE ? cursor_settle(d->session) : rc;
}

int
delivery_end(struct delivery *d)
{
	int rc = EXIT_DONE;

	if (d->ack != NULL)
		rc = wait_acks(d, 0, true);
	if (d->handler.serve)
		rc = serve_end(&d->serve);
	return rc == EXIT_DONE ? cursor_settle(d->session) : rc;
}

static int
idle_with_stdout(struct delivery *d, int64_t wait_ms)
{
	struct pollfd p[] = {
	    {d->peer.acks.fd, POLLIN, 0},
	    /* to notice when its reader has gone */
	    {d->out.fd, 0, 0},
	};
	int rc = prefetch_wait(d->prefetch, p, 2, wait_ms);

	if (rc == EXIT_DONE && (p[1].revents & POLLERR) != 0) {
		log_error("could not write \"stdout\": its reader has gone");
		return EXIT_IO;
	}
	if (rc == EXIT_DONE && p[0].revents != 0)
		rc = peer_read_acks(&d->peer);
	if (rc == EXIT_DONE && d->peer.acks.eof)
		rc = acks_ended(d, false);
	return rc;
}

int
delivery_idle(struct delivery *d, int64_t wait_ms)
{
	return d->handler.serve ? serve_idle(&d->serve, wait_ms)
				: idle_with_stdout(d, wait_ms);
}
