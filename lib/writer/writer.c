#include "writer/writer.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/line.h"
#include "base/log.h"
#include "base/signals.h"
#include "writer/intake.h"

#define SILENCE_MS 60000 /* limit for stdin inside a transaction */
#define SURE_MS    11000 /* pg-cdc-read --ack is never quiet this long */

struct writer {
	struct intake intake;
	struct line_reader in;
	int64_t silent_from; /* since when stdin is dry; 0: it is not */
	int64_t stop_by; /* when a stop abandons the transaction; 0: no stop */
};

/* Ends at the end of stdin.  The tail of an unfinished transaction is dropped:
 * nothing of it was acknowledged, so it is sent again. */
static int
on_end(struct writer *w, bool cut)
{
	struct intake *in = &w->intake;
	int rc = in->unsure ? intake_decide(in) : EXIT_DONE;
	bool inside = w->intake.feed.inside;

	if (rc == EXIT_DONE && !in->finished)
		rc = inside ? intake_abandon(in) : intake_finish(in);
	if (rc != EXIT_DONE || (!inside && !cut))
		return rc;
	if (inside)
		log_error("could not read on: stdin ended inside a "
			  "transaction");
	else
		log_error("could not read on: stdin ended inside line %llu",
		    (unsigned long long)w->in.number + !in->skipping);
	return EXIT_RETRY;
}

/* When waiting for stdin ends, while inside a transaction; 0: never. */
static int64_t
wait_until(const struct writer *w)
{
	if (!w->intake.feed.inside)
		return 0;
	if (w->stop_by != 0)
		return w->stop_by;
	return w->silent_from + (w->intake.unsure ? SURE_MS : SILENCE_MS);
}

/* stdin has nothing to read: waits, and goes on with what has been read. */
static int
on_dry(struct writer *w)
{
	bool readable;
	int rc = feed_step(&w->intake.feed, true);

	if (rc != EXIT_DONE)
		return rc;
	if (w->silent_from == 0)
		w->silent_from = clock_ms();
	rc = feed_wait(&w->intake.feed, w->in.fd, wait_until(w), &readable);
	if (readable)
		w->silent_from = 0;
	if (rc != EXIT_DONE || readable || !w->intake.feed.inside)
		return rc;
	if (w->intake.unsure && clock_left(w->silent_from + SURE_MS) == 0)
		return intake_decide(&w->intake);
	if (clock_left(w->silent_from + SILENCE_MS) > 0)
		return EXIT_DONE;
	rc = intake_abandon(&w->intake);
	if (rc != EXIT_DONE)
		return rc;
	log_error("could not read on: stdin was silent inside a transaction");
	return EXIT_RETRY;
}

/* A stop was requested: ends at a boundary, or after STOP_GRACE_MS. */
static int
on_stop(struct writer *w)
{
	int rc;

	if (!w->intake.feed.inside)
		return intake_finish(&w->intake);
	if (w->stop_by == 0)
		w->stop_by = clock_ms() + STOP_GRACE_MS;
	if (clock_left(w->stop_by) > 0)
		return EXIT_DONE;
	rc = intake_abandon(&w->intake);
	if (rc != EXIT_DONE)
		return rc;
	log_error("could not stop cleanly: the transaction in progress did not "
		  "end in time");
	return EXIT_RETRY;
}

static int
on_ready(struct writer *w, struct view text)
{
	struct intake *in = &w->intake;
	int rc = in->skipping ? intake_rest(in, text, true)
			      : intake_line(in, w->in.number, text);

	w->silent_from = 0;
	if (rc == EXIT_DONE && !in->finished && feed_has_much(&w->intake.feed))
		rc = feed_step(&w->intake.feed, false);
	return rc;
}

static int
on_long(struct writer *w, struct view text)
{
	struct intake *in = &w->intake;

	w->silent_from = 0;
	return in->skipping ? intake_rest(in, text, false)
			    : intake_long(in, w->in.number, text);
}

/* Reads a line, or a piece of one that is too long. */
static int
read_line(struct writer *w)
{
	struct view text;

	switch (w->intake.skipping ? line_skip(&w->in, &text)
				   : line_next(&w->in, &text)) {
	case LINE_READY:
		return on_ready(w, text);
	case LINE_LONG:
		return on_long(w, text);
	case LINE_DRY:
		return on_dry(w);
	case LINE_EOF:
		return on_end(w, false);
	case LINE_CUT:
		return on_end(w, true);
	default:
		log_error("could not read \"stdin\": %s", strerror(errno));
		return errno == ENOMEM ? EXIT_OS : EXIT_IO;
	}
}

/* The feed is full: waits for the server. */
static int
on_full(struct writer *w)
{
	bool readable;
	int rc = feed_step(&w->intake.feed, false);

	if (rc != EXIT_DONE || feed_takes(&w->intake.feed))
		return rc;
	return feed_wait(&w->intake.feed, -1, w->stop_by, &readable);
}

static int
run_loop(struct writer *w)
{
	const bool *finished = &w->intake.finished;
	int rc = EXIT_DONE;

	while (rc == EXIT_DONE && !*finished) {
		if (signals_stop_requested())
			rc = on_stop(w);
		if (rc == EXIT_DONE && !*finished)
			rc = feed_takes(&w->intake.feed) ? read_line(w)
							 : on_full(w);
	}
	return rc;
}

/* Another process may have read from a pipe before us, but not from a file. */
static bool
is_pipe(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 &&
	    (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

int
writer_run(const struct writer_options *o)
{
	struct writer w = {.intake = {.o = o, .unsure = is_pipe(STDIN_FILENO)}};
	struct feed *feed = &w.intake.feed;
	int rc, closed;

	feed_init(feed, STDOUT_FILENO);
	feed->batch_size = o->batch_size;
	feed->flush_interval = o->flush_interval;
	line_init(&w.in, STDIN_FILENO, (size_t)o->max_line);
	rc = rejects_open(&feed->rejects, o->rejects);
	if (rc == EXIT_DONE)
		rc = store_open(&w.intake.pg, o->conninfo);
	if (rc == EXIT_DONE)
		rc = copyin_init(&feed->copy, &w.intake.pg, o->conninfo);
	if (rc == EXIT_DONE)
		rc = run_loop(&w);
	if (w.intake.skipped > 0)
		log_info("skipped %llu events at or below the watermark",
		    (unsigned long long)w.intake.skipped);
	closed = feed_release(feed);
	intake_release(&w.intake);
	line_release(&w.in);
	return rc != EXIT_DONE ? rc : closed;
}
