#include "reader/reader.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/signals.h"
#include "reader/preflight.h"
#include "reader/reader_state.h"
#include "reader/repeat.h"
#include "stream/event_write.h"

#define REPEATS 3 /* of a failure, after which a restart does not help */

static bool
until_is(const struct reader *r, const char *word)
{
	return r->o->until != NULL && strcmp(r->o->until, word) == 0;
}

/* Needs no connection: a bad --until is refused before one is opened. */
static int
check_until(struct reader *r)
{
	const char *text = r->o->until;

	r->until_snapshot = until_is(r, "snapshot");
	if (text == NULL || r->until_snapshot || until_is(r, "now") ||
	    (lsn_parse(view_of(text), &r->until) && r->until > 0))
		return EXIT_DONE;
	log_error("could not use --until \"%s\": neither an LSN such as "
		  "0/1A2B3C4 nor \"now\" nor \"snapshot\"",
	    text);
	return EXIT_USAGE;
}

/* Connects, and looks up what the run needs; *start is the slot's position. */
static int
look_up(struct reader *r, uint64_t *start)
{
	int rc = check_until(r);

	if (rc == EXIT_DONE)
		rc = walsender_open(&r->stream, r->o->conninfo);
	if (rc == EXIT_DONE)
		rc = source_identify(&r->stream.pg, &r->system);
	if (rc == EXIT_DONE && (until_is(r, "now") || r->until_snapshot))
		r->until = r->system.flush;
	if (rc == EXIT_DONE)
		rc = preflight_start(
		    &r->stream.pg, r->o->slot, r->o->publication, start);
	if (rc == EXIT_DONE && r->o->tables != NULL)
		rc = source_left_out(&r->stream.pg, r->o->publication,
		    r->o->tables, &r->decode.left_out);
	return rc;
}

static int
set_up(struct reader *r, uint64_t *start)
{
	int rc = look_up(r, start);

	if (rc != EXIT_DONE)
		return rc;
	source_add_id(&r->decode.source_id, &r->stream.pg, r->o->source_id);
	r->decode.messages = r->o->messages;
	r->decode.numbers.on = r->o->safe_numbers;
	r->schemas.hints.conninfo = r->o->conninfo;
	if (r->o->schema || r->o->ack != NULL)
		r->decode.schemas = &r->schemas;
	rc = decode_init(&r->decode);
	if (rc == EXIT_DONE)
		rc = snapshot_init(&r->snapshot,
		    &(struct snapshot_options){.conninfo = r->o->conninfo,
			.slot = r->o->slot,
			.publication = r->o->publication,
			.key_file = r->o->snapshot_key_file,
			.workers = (size_t)r->o->snapshot_workers,
			.lock = r->o->snapshot_lock,
			.pause_ms = r->o->snapshot_pause,
			.off = r->o->no_snapshot,
			.acked = r->o->ack != NULL},
		    r->system.flush);
	liveness_start(&r->liveness, clock_ms(), r->system.timeout_ms,
	    r->o->server_timeout);
	if (rc == EXIT_DONE)
		rc = heartbeat_open(&r->heartbeat, r->o->conninfo,
		    r->o->heartbeat, r->liveness.silence);
	if (rc == EXIT_DONE)
		rc = walsender_start(
		    &r->stream, r->o->slot, r->o->publication, *start);
	liveness_hear(&r->liveness, clock_ms());
	return rc;
}

/*
 * The exit code of a stream that failed with EXIT_RETRY.  If it failed in the
 * same way at the same change of a transaction several times, a restart does
 * not help.
 */
static int
look_back(const struct reader *r)
{
	uint64_t at = r->progress.received;
	unsigned n;

	if (r->o->failures == NULL || r->stream.failure[0] == '\0' ||
	    !decode_in_transaction(&r->decode))
		return EXIT_RETRY;
	n = repeat_count(r->o->failures, at, r->stream.failure);
	if (n < REPEATS)
		return EXIT_RETRY;
	log_hint("The stream has failed %u times in a row after %s of slot "
		 "\"%s\": a restart does not help.  See the server's log.",
	    n, lsn_text(at).s, r->o->slot);
	return EXIT_OPERATOR;
}

static int
finish(struct reader *r)
{
	int rc = reader_feedback_report(r);

	if (rc == EXIT_DONE)
		rc = walsender_end(&r->stream);
	if (rc == EXIT_DONE && !progress_settled(&r->progress)) {
		log_error("could not stop cleanly: the last checkpoint was "
			  "not acknowledged");
		rc = EXIT_RETRY;
	}
	return rc;
}

static int
run_stream(struct reader *r)
{
	uint64_t start = 0;
	int rc = set_up(r, &start);

	if (rc != EXIT_DONE)
		return rc;
	if (r->o->ack != NULL) {
		const struct stream_start line = source_start_line(&r->system,
		    buf_view(&r->decode.source_id), r->o->slot, start);

		progress_start(&r->progress, start, clock_ms());
		r->confirmed = start;
		r->liveness.reported = start;
		event_write_start(&r->out.b, &line);
	}
	log_info("reading from %s", lsn_text(start).s);
	rc = reader_loop(r);
	if (rc == EXIT_RETRY && !signals_stop_requested())
		rc = look_back(r);
	return rc == EXIT_DONE ? finish(r) : rc;
}

int
reader_run(const struct reader_options *o)
{
	struct reader *r = calloc(1, sizeof(*r));
	int rc = EXIT_DONE, closed;

	if (r == NULL) {
		log_error("could not start reading: out of memory");
		return EXIT_OS;
	}
	r->o = o;
	r->sweep.conninfo = o->conninfo;
	r->acks.fd = -1;
	fdio_out_init(&r->out, STDOUT_FILENO, "stdout");
	/* first: buffer-write may be blocked, opening the other end */
	if (o->ack != NULL)
		rc = ack_channel_open(&r->acks, o->ack);
	if (rc == EXIT_DONE)
		rc = run_stream(r);
	closed = fdio_out_close(&r->out);
	heartbeat_close(&r->heartbeat);
	walsender_close(&r->stream);
	source_system_release(&r->system);
	ack_channel_close(&r->acks);
	decode_release(&r->decode);
	schema_lines_release(&r->schemas);
	sweep_release(&r->sweep);
	snapshot_close(&r->snapshot);
	free(r);
	return rc != EXIT_DONE ? rc : closed;
}
