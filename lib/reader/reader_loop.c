#include <limits.h>
#include <poll.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "base/signals.h"
#include "reader/reader_state.h"

#define DOZE_US        150   /* lets the server fill the socket */
#define TRANSACTION_MS 3000  /* to end a transaction after a stop request */
#define ACK_MS         10000 /* for the last acks */
#define FIXED_FDS      6     /* that are always waited for */

static void
enter(struct reader *r, enum reader_phase phase, int64_t limit_ms)
{
	r->phase = phase;
	r->phase_until = limit_ms > 0 ? clock_ms() + limit_ms : 0;
}

static int
do_streaming(struct reader *r)
{
	int rc = reader_input(r);

	if (!decode_in_transaction(&r->decode))
		sweep_work(&r->sweep, pgoutput_relations(r->decode.decoder),
		    r->progress.complete);
	if (rc != EXIT_DONE) {
		reader_output_rest(r);
	} else if (reader_input_is_over(r)) {
		if (progress_waits(&r->progress))
			reader_output_checkpoint(r);
		enter(r, READER_WRITING, 0);
	}
	return rc;
}

/* Does the work of the phase, and enters the next phase at its end. */
static int
advance(struct reader *r)
{
	int rc = EXIT_DONE;

	if (r->phase == READER_STREAMING)
		rc = do_streaming(r);
	if (signals_stop_requested() && r->phase_until == 0)
		enter(r, r->phase,
		    r->phase == READER_STREAMING ? TRANSACTION_MS : ACK_MS);
	if (rc == EXIT_DONE && r->phase < READER_WAITING)
		rc = reader_output_flush(r);
	if (rc == EXIT_DONE && r->phase == READER_WRITING &&
	    fdio_out_pending(&r->out) == 0) {
		rc = fdio_out_close(&r->out);
		enter(r, READER_WAITING, ACK_MS);
	}
	if (rc == EXIT_DONE)
		rc = reader_output_acks(r);
	if (r->phase == READER_WAITING &&
	    (r->progress.window.n == 0 || r->acks.eof))
		enter(r, READER_ENDED, 0);
	return rc;
}

static int
out_of_time(const struct reader *r)
{
	static const char *const why[] = {
	    [READER_STREAMING] = "the current transaction did not end in time",
	    [READER_WRITING] = "stdout is blocked",
	    [READER_WAITING] = "the last checkpoint was not acknowledged",
	};

	log_error("could not stop cleanly: %s", why[r->phase]);
	return EXIT_RETRY;
}

static int64_t
next_timer(const struct reader *r)
{
	int64_t at = reader_feedback_at(r);

	at = clock_earlier(at, liveness_dead_at(&r->liveness));
	at = clock_earlier(at, heartbeat_due_at(&r->heartbeat));
	if (r->phase_until != 0)
		at = clock_earlier(at, r->phase_until);
	at = clock_earlier(at, reader_output_alive_at(r));
	if (r->phase == READER_STREAMING &&
	    fdio_out_pending(&r->out) < READER_OUT_BYTES)
		at = clock_earlier(at, snapshot_due_at(&r->snapshot));
	if (r->blocked_at != 0)
		at = clock_earlier(at, r->blocked_at + LIVENESS_STALL_MS);
	if (r->phase == READER_STREAMING && !decode_in_transaction(&r->decode))
		at = clock_earlier(at, progress_due_at(&r->progress));
	return at;
}

/* Waits until a descriptor is ready or a timer is due. */
static int
wait_for_work(struct reader *r)
{
	short events = (short)((reader_is_reading(r) ? POLLIN : 0) |
	    (r->stream.unsent ? POLLOUT : 0));
	struct pollfd p[FIXED_FDS + CHUNK_LANES] = {
	    /* while we do not read, ignore even a hang-up */
	    {events != 0 ? PQsocket(r->stream.pg.conn) : -1, events, 0},
	    {r->out.fd, (short)(fdio_out_pending(&r->out) > 0 ? POLLOUT : 0),
		0},
	    {r->o->ack != NULL && !r->acks.eof ? r->acks.fd : -1, POLLIN, 0},
	    {signals_fd(), POLLIN, 0},
	    {heartbeat_fd(&r->heartbeat), POLLIN, 0},
	    {snapshot_marker_fd(&r->snapshot), POLLIN, 0},
	};
	nfds_t n = FIXED_FDS;
	int64_t left = clock_left(next_timer(r));

	if (fdio_out_pending(&r->out) < READER_OUT_BYTES)
		n += snapshot_poll(&r->snapshot, p + FIXED_FDS);
	if (poll(p, n, left > INT_MAX ? INT_MAX : (int)left) <= 0)
		return EXIT_DONE;
	if ((p[0].revents & POLLIN) != 0)
		reader_feedback_hear_part(r);
	if (p[3].revents != 0)
		signals_drain();
	if ((p[1].revents & (POLLERR | POLLNVAL)) != 0 &&
	    fdio_out_pending(&r->out) == 0) {
		log_error("could not write \"stdout\": its reader closed it");
		return EXIT_IO;
	}
	return p[4].revents != 0 ? heartbeat_work(&r->heartbeat) : EXIT_DONE;
}

/*
 * All output is written before the reader waits, so a slow stream is not
 * delayed.  Under load it dozes instead of waiting in poll: the server fills
 * the socket meanwhile, and the reader wakes up less often than once a message.
 */
static int
idle(struct reader *r)
{
	bool written = fdio_out_pending(&r->out) == 0;

	if (r->phase_until != 0 && clock_ms() >= r->phase_until)
		return out_of_time(r);
	if (r->phase != READER_STREAMING || snapshot_reading(&r->snapshot) ||
	    !written)
		return wait_for_work(r);
	if (r->busy && r->dry)
		clock_doze_us(DOZE_US);
	else if (r->dry)
		return wait_for_work(r);
	return EXIT_DONE;
}

int
reader_loop(struct reader *r)
{
	int rc = EXIT_DONE;

	while (rc == EXIT_DONE) {
		r->busy = false;
		rc = advance(r);
		if (rc == EXIT_DONE && r->phase != READER_ENDED)
			rc = reader_feedback_work(r);
		if (rc == EXIT_DONE)
			rc = reader_feedback_look(r);
		if (rc != EXIT_DONE || r->phase == READER_ENDED)
			break;
		rc = idle(r);
	}
	return rc;
}
