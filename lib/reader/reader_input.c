#include "base/clock.h"
#include "base/exitcode.h"
#include "base/signals.h"
#include "reader/reader_state.h"

#define MESSAGES 10000 /* read before acks and timers have their turn */

/* Between transactions only. */
static void
maybe_checkpoint(struct reader *r)
{
	if (!decode_in_transaction(&r->decode) &&
	    progress_due(
		&r->progress, clock_ms(), r->dry, r->liveness.reply_wanted))
		reader_output_checkpoint(r);
}

static int
tell_snapshot(struct reader *r, uint64_t commit_end)
{
	const struct pgoutput *d = r->decode.decoder;
	int rc = EXIT_DONE;

	if (r->decode.snapshot.p != NULL)
		rc = snapshot_message(
		    &r->snapshot, r->decode.snapshot, pgoutput_commit_lsn(d));
	if (rc == EXIT_DONE && r->decode.unchanged != NULL)
		rc = snapshot_unchanged(&r->snapshot, r->decode.relation,
		    r->decode.unchanged, pgoutput_rekeyed(d));
	if (r->decode.touched)
		snapshot_touched(&r->snapshot, pgoutput_xid(d));
	if (rc == EXIT_DONE && commit_end > 0)
		rc = snapshot_commit(&r->snapshot, pgoutput_xid(d),
		    pgoutput_commit_lsn(d), commit_end);
	return rc;
}

static int
on_data(struct reader *r, const struct walsender_message *m)
{
	size_t before = r->out.b.len;
	uint64_t commit_end;
	int rc;

	r->decode.watched = snapshot_watched(&r->snapshot);
	rc = decode_take(&r->decode, m, &r->out.b, &commit_end);
	if (r->out.b.len > before)
		r->inside = r->progress.events = true;
	if (rc != EXIT_DONE)
		return rc;
	progress_receive(&r->progress, m->lsn);
	rc = tell_snapshot(r, commit_end);
	if (commit_end > 0) {
		r->inside = false;
		progress_complete(&r->progress, commit_end);
		maybe_checkpoint(r);
	}
	return rc;
}

static int
on_keepalive(struct reader *r, const struct walsender_message *m)
{
	int rc = EXIT_DONE;

	progress_receive(&r->progress, m->lsn);
	if (!decode_in_transaction(&r->decode))
		progress_complete(&r->progress, m->lsn);
	if (m->reply_wanted)
		rc = reader_feedback_requested(r);
	maybe_checkpoint(r);
	return rc;
}

bool
reader_input_is_over(const struct reader *r)
{
	if (decode_in_transaction(&r->decode))
		return false;
	return signals_stop_requested() ||
	    (r->until != 0 && r->progress.complete >= r->until &&
		!(r->until_snapshot && snapshot_active(&r->snapshot)));
}

/* Bounded by MESSAGES: filtered events fill no output, and acks and timers need
 * their turn. */
static int
read_messages(struct reader *r)
{
	struct walsender_message m;
	int rc;

	r->dry = false;
	for (int n = 0; n < MESSAGES && !r->dry && !reader_input_is_over(r) &&
	     reader_is_reading(r);
	     n++) {
		rc = walsender_next(&r->stream, &m);
		if (rc == EXIT_DONE && m.kind == WALSENDER_DATA)
			rc = on_data(r, &m);
		else if (rc == EXIT_DONE && m.kind == WALSENDER_KEEPALIVE)
			rc = on_keepalive(r, &m);
		if (rc != EXIT_DONE)
			return rc;
		r->dry = m.kind == WALSENDER_DRY;
		r->busy |= !r->dry;
	}
	return EXIT_DONE;
}

int
reader_input(struct reader *r)
{
	bool within = decode_in_transaction(&r->decode);
	int rc = read_messages(r);

	if (rc != EXIT_DONE)
		return rc;
	if (r->busy) {
		liveness_hear(&r->liveness, clock_ms());
		r->part_bytes = 0;
	}
	if (r->dry)
		maybe_checkpoint(r);
	if (!within || fdio_out_pending(&r->out) > 0)
		r->quiet_since = clock_ms();
	reader_output_alive(r);
	return EXIT_DONE;
}
