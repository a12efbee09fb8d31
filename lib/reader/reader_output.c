#include <poll.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/signals.h"
#include "reader/reader_state.h"
#include "stream/event_write.h"

#define ALIVE_MS 10000 /* without output, in a transaction */
#define REST_MS  200   /* to write what is complete, after an error */

void
reader_output_checkpoint(struct reader *r)
{
	char text[LSN_TEXT_MAX];
	size_t n = lsn_format(text, r->progress.complete);

	event_write_checkpoint(&r->out.b, (struct view){text, n});
	progress_sent(&r->progress, clock_ms());
}

/* After a longer silence the consumer might take the reader for dead. */
int64_t
reader_output_alive_at(const struct reader *r)
{
	if (!r->progress.acked || r->phase != READER_STREAMING ||
	    !decode_in_transaction(&r->decode) || fdio_out_pending(&r->out) > 0)
		return INT64_MAX;
	return r->quiet_since + ALIVE_MS;
}

void
reader_output_alive(struct reader *r)
{
	int64_t now = clock_ms();

	if (now < reader_output_alive_at(r))
		return;
	event_write_alive(&r->out.b);
	r->quiet_since = now;
}

/* Also remembers since when stdout is blocked. */
int
reader_output_flush(struct reader *r)
{
	size_t before = fdio_out_pending(&r->out);
	int rc = fdio_out_flush(&r->out);

	if (fdio_out_pending(&r->out) < before ||
	    fdio_out_pending(&r->out) == 0)
		r->blocked_at = 0;
	else if (r->blocked_at == 0)
		r->blocked_at = clock_ms();
	return rc;
}

/* The source may be down until somebody repairs it: complete transactions must
 * not wait for that. */
void
reader_output_rest(struct reader *r)
{
	int64_t until = clock_ms() + REST_MS;

	if (!r->inside && r->progress.events && progress_waits(&r->progress))
		reader_output_checkpoint(r);
	while (reader_output_flush(r) == EXIT_DONE &&
	    fdio_out_pending(&r->out) > 0 && !signals_stop_requested() &&
	    clock_left(until) > 0)
		fdio_wait(r->out.fd, POLLOUT, clock_left(until));
}

static int
on_ack(struct reader *r, struct view position)
{
	uint64_t lsn;

	if (!lsn_parse(position, &lsn))
		return ack_refuse(&r->acks, position, "not an LSN");
	switch (progress_acknowledge(&r->progress, lsn)) {
	case ACK_UNKNOWN:
		return ack_refuse(
		    &r->acks, position, "no such checkpoint was sent");
	case ACK_NEW:
		liveness_progress(&r->liveness, clock_ms());
		break;
	case ACK_OLD:
		break;
	}
	return EXIT_DONE;
}

int
reader_output_acks(struct reader *r)
{
	struct view position;
	int rc = EXIT_DONE;

	if (r->o->ack == NULL || r->acks.eof)
		return rc;
	while ((rc = ack_channel_next(&r->acks, &position)) == EXIT_DONE &&
	    position.p != NULL) {
		rc = on_ack(r, position);
		if (rc != EXIT_DONE)
			break;
	}
	if (rc == EXIT_DONE && r->acks.eof && r->phase < READER_WAITING) {
		log_error("could not read \"%s\": end of file", r->acks.name);
		rc = EXIT_IO;
	}
	return rc;
}
