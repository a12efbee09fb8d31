#include "batcher/delivery.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "base/num.h"
#include "base/signals.h"
#include "stream/event_write.h"

#define ACK_MS 10000       /* for the last acks */
#define PIECE  (64 * 1024) /* of a batch, queued for stdout at a time */

int
delivery_open(struct delivery *d)
{
	d->acks.fd = -1;
	d->out.fd = -1;
	d->handler.guard.fd = -1;
	d->retry.handler = &d->handler;
	d->retry.session = d->session;
	d->retry.prefetch = d->prefetch;
	/* a handler inherits our stdout: leave its flags alone */
	if (d->handler.argv == NULL)
		fdio_out_init(&d->out, STDOUT_FILENO, "stdout");
	return d->ack != NULL ? ack_channel_open(&d->acks, d->ack) : EXIT_DONE;
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

	ack_channel_close(&d->acks);
	guard_end(&d->handler.guard);
	return rc;
}

/* Writing to stdout */

/* Writes what is queued. */
static int
push(struct delivery *d)
{
	struct pollfd p = {d->out.fd, POLLOUT, 0};
	int rc = fdio_out_flush(&d->out);

	while (rc == EXIT_DONE && fdio_out_pending(&d->out) > 0) {
		if (signals_stop_requested())
			return fdio_out_drain(&d->out, 0);
		rc = prefetch_wait(d->prefetch, &p, 1, -1);
		if (rc == EXIT_DONE)
			rc = fdio_out_flush(&d->out);
	}
	return rc;
}

/* Piece by piece: each wait may move the queue that holds the batch. */
static int
write_batch(struct delivery *d, const struct batch *b)
{
	int rc = EXIT_DONE;

	for (size_t done = 0, n; rc == EXIT_DONE && done < b->len; done += n) {
		struct view text = batch_text(&d->prefetch->queue, b);

		n = text.n - done < PIECE ? text.n - done : PIECE;
		buf_add(&d->out.b, text.p + done, n);
		rc = push(d);
	}
	return rc;
}

static int
write_checkpoint(struct delivery *d, const struct batch *b)
{
	char position[20];
	size_t n = num_format_u64(position, (uint64_t)b->last_id);

	event_write_checkpoint(&d->out.b, (struct view){position, n});
	return push(d);
}

/* Acks */

static int
mark_acked(struct delivery *d, size_t first, size_t n)
{
	int rc = EXIT_DONE;

	d->heard = true;
	for (size_t i = 0; i < n && rc == EXIT_DONE; i++) {
		struct delivery_sent *s = &d->sent[(first + i) % ACK_WINDOW];

		rc = cursor_mark(d->session, s->source, &s->mark);
	}
	return rc;
}

static int
on_ack(struct delivery *d, struct view text)
{
	size_t popped, first = d->window.first;
	uint64_t id;

	if (!num_parse_u64(text, &id))
		return ack_refuse(
		    &d->acks, text, "not the ack of a checkpoint");
	switch (ack_received(&d->window, id, &popped)) {
	case ACK_NEW:
		return mark_acked(d, first, popped);
	case ACK_OLD:
		return EXIT_DONE;
	case ACK_UNKNOWN:
		break;
	}
	return ack_refuse(&d->acks, text, "no such checkpoint was sent");
}

static int
read_acks(struct delivery *d)
{
	struct view text;
	int rc;

	while ((rc = ack_channel_next(&d->acks, &text)) == EXIT_DONE &&
	    text.p != NULL) {
		rc = on_ack(d, text);
		if (rc != EXIT_DONE)
			break;
	}
	return rc;
}

static int
acks_ended(const struct delivery *d, bool expected)
{
	log_error("could not read \"%s\": end of file", d->acks.name);
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
	struct pollfd p = {d->acks.fd, POLLIN, 0};
	int64_t until = clock_ms() + ACK_MS;
	bool closed = false, limited;
	int rc = read_acks(d);

	while (rc == EXIT_DONE && d->window.n > left) {
		if (d->acks.eof)
			return acks_ended(d, end);
		limited = closed || (d->once && !d->heard);
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
			rc = read_acks(d);
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
	log_hint("Such a consumer gets at most %d batches of a source per run.",
	    DELIVERY_UNACKED);
	return EXIT_RETRY;
}

/* Batches */

/* Waits until one more batch may be sent; *room is false after a stop. */
static int
make_room(struct delivery *d, bool *room)
{
	size_t left = DELIVERY_UNACKED - 1;
	int rc;

	if (d->turn++ < DELIVERY_UNACKED && !ack_full(&d->window))
		return EXIT_DONE;
	rc = wait_acks(d, left, false);
	if (rc == EXIT_DONE && d->window.n > left)
		rc = end_early(d);
	*room = rc == EXIT_DONE && !signals_stop_requested();
	return rc;
}

static int
to_stdout(
    struct delivery *d, struct view source, const struct batch *b, bool *done)
{
	struct batch_mark mark = batch_mark(&d->prefetch->queue, b);
	int rc = write_batch(d, b);

	*done = rc == EXIT_DONE;
	return *done ? cursor_mark(d->session, source, &mark) : rc;
}

/* The ack will mark it. */
static int
with_acks(
    struct delivery *d, struct view source, const struct batch *b, bool *done)
{
	struct delivery_sent s = {source, batch_mark(&d->prefetch->queue, b)};
	bool room = true;
	int rc = make_room(d, &room);

	if (rc == EXIT_DONE && room)
		rc = write_batch(d, b);
	if (rc == EXIT_DONE && room)
		rc = write_checkpoint(d, b);
	*done = rc == EXIT_DONE && room;
	if (!*done)
		return rc;
	d->sent[(d->window.first + d->window.n) % ACK_WINDOW] = s;
	ack_sent(&d->window, (uint64_t)b->last_id);
	return read_acks(d);
}

void
delivery_turn(struct delivery *d)
{
	d->turn = 0;
}

int
delivery_batch(
    struct delivery *d, struct view source, const struct batch *b, bool *done)
{
	int rc;

	if (d->handler.argv != NULL)
		rc = retry_process(&d->retry, source, b, done);
	else if (d->ack != NULL)
		rc = with_acks(d, source, b, done);
	else
		rc = to_stdout(d, source, b, done);
	if (rc == EXIT_DONE && *done)
		log_info("delivered events %lld to %lld, %llu in all",
		    (long long)b->first_id, (long long)b->last_id,
		    (unsigned long long)b->events);
	return rc;
}

int
delivery_settle(struct delivery *d, bool end)
{
	int rc = EXIT_DONE;

	if (d->ack != NULL)
		rc = wait_acks(d, 0, end);
	return rc == EXIT_DONE ? cursor_settle(d->session) : rc;
}

int
delivery_idle(struct delivery *d, int64_t wait_ms)
{
	struct pollfd p[] = {
	    {d->acks.fd, POLLIN, 0},
	    /* to notice when its reader has gone */
	    {d->out.fd, 0, 0},
	};
	int rc = prefetch_wait(d->prefetch, p, 2, wait_ms);

	if (rc == EXIT_DONE && (p[1].revents & POLLERR) != 0) {
		log_error("could not write \"stdout\": its reader has gone");
		return EXIT_IO;
	}
	if (rc == EXIT_DONE && p[0].revents != 0)
		rc = read_acks(d);
	if (rc == EXIT_DONE && d->acks.eof)
		rc = acks_ended(d, false);
	return rc;
}
