#include <string.h>
#include <sys/ioctl.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "reader/reader_state.h"

#define PART_BYTES 1024 /* longer than the server's replies to our requests */

static int
stalled(const char *why)
{
	log_error("could not continue replication: the server is shutting "
		  "down and %s",
	    why);
	return EXIT_RETRY;
}

/*
 * A server that shuts down asks again right after each reply, until everything
 * that it sent is confirmed.  It must not wait for ever.
 */
int
reader_feedback_requested(struct reader *r)
{
	int64_t now = clock_ms();

	if (!liveness_request(&r->liveness, now))
		return EXIT_DONE;
	if (r->progress.acked && r->liveness.reported >= r->progress.complete)
		return stalled("keeps asking although everything is confirmed");
	if (liveness_stalled(&r->liveness, now))
		return stalled("nothing was acknowledged for 3 s");
	return EXIT_DONE;
}

int64_t
reader_feedback_at(const struct reader *r)
{
	return liveness_report_at(&r->liveness, r->confirmed);
}

int
reader_feedback_report(struct reader *r)
{
	int64_t now = clock_ms();
	bool asks = liveness_asks(&r->liveness, now);
	int rc;

	/* the last acks may have come after the last reader_feedback_work */
	r->confirmed = snapshot_confirm(&r->snapshot, r->progress.durable);
	rc = walsender_feedback(
	    &r->stream, r->progress.received, r->confirmed, asks);

	liveness_reported(&r->liveness, now, r->confirmed, asks);
	return rc;
}

static int
take_snapshot(struct reader *r)
{
	size_t before = r->out.b.len;
	int rc = snapshot_work(&r->snapshot, &r->decode, &r->out.b,
	    r->out.done + READER_OUT_BYTES, r->progress.complete);

	if (r->out.b.len > before)
		r->inside = r->progress.events = true;
	return rc;
}

int
reader_feedback_work(struct reader *r)
{
	int64_t now = clock_ms();
	int rc = EXIT_DONE;

	r->confirmed = snapshot_confirm(&r->snapshot, r->progress.durable);
	if (!reader_is_reading(r))
		liveness_hear(&r->liveness, now);
	if (now >= liveness_dead_at(&r->liveness)) {
		log_error("could not continue replication: the server does "
			  "not answer");
		strcpy(r->stream.failure, "silent");
		return EXIT_RETRY;
	}
	if (now >= reader_feedback_at(r))
		rc = reader_feedback_report(r);
	if (rc == EXIT_DONE && r->stream.unsent)
		rc = walsender_flush(&r->stream);
	if (rc == EXIT_DONE && now >= heartbeat_due_at(&r->heartbeat))
		rc = heartbeat_work(&r->heartbeat);
	if (rc == EXIT_DONE && r->phase == READER_STREAMING)
		rc = take_snapshot(r);
	return rc;
}

/*
 * While stdout is blocked the reader reads no messages, so it does not see the
 * requests of a server that shuts down, which would wait for ever.
 */
int
reader_feedback_look(struct reader *r)
{
	if (r->blocked_at == 0 ||
	    clock_left(r->blocked_at + LIVENESS_STALL_MS) > 0)
		return EXIT_DONE;
	if (source_turned_away(r->o->conninfo))
		return stalled("stdout is blocked");
	r->blocked_at = clock_ms();
	return EXIT_DONE;
}

/*
 * A part of a large message shows that the server is alive.  Parts shorter than
 * its replies do not count: if a message's length is wrong, libpq waits for the
 * rest for ever, and takes each reply for a part of it.
 */
void
reader_feedback_hear_part(struct reader *r)
{
	int n = 0;

	if (ioctl(PQsocket(r->stream.pg.conn), FIONREAD, &n) == 0 && n > 0)
		r->part_bytes += (size_t)n;
	if (r->part_bytes < PART_BYTES)
		return;
	r->part_bytes = 0;
	liveness_hear(&r->liveness, clock_ms());
}
