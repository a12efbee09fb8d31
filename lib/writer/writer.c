#include "writer/writer.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/line.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/signals.h"
#include "base/utf8.h"
#include "buffer/store.h"
#include "stream/event_read.h"
#include "writer/feed.h"
#include "writer/gap.h"

#define SILENCE_MS 60000 /* of stdin, in the middle of a transaction */
#define SURE_MS    11000 /* a reader with acks has a control line by then */
#define NAME_BYTES 64    /* of a name in a message */

/* (commit_lsn, seq) of an event; seq 0: none. */
struct position {
	uint64_t commit_lsn;
	uint64_t seq;
};

struct writer {
	const struct writer_options *o;
	struct pg pg;
	struct feed feed;
	struct line_reader in;
	struct event_reader json;
	bool skipping; /* a line that was too long, into the rejects */

	struct buf source;        /* of the rows; empty: none yet */
	struct store_state state; /* of that source, when we began with it */
	struct position last;     /* event read last */
	bool started; /* the stream has told where it begins: acks are LSNs */
	bool whole;   /* control lines were seen */
	bool
	    unsure; /* they may come: it may be the rest of a reader's stream */
	uint64_t skipped; /* events that the watermark covers */

	bool finished;
	int64_t silent_from; /* stdin is dry since then; 0: it is not */
	int64_t stop_by;     /* 0: not told to stop inside a transaction */
};

static int
position_order(struct position a, struct position b)
{
	return event_order(a.commit_lsn, a.seq, b.commit_lsn, b.seq);
}

/* Stops after what is complete, all of it acknowledged. */
static int
finish(struct writer *w)
{
	w->finished = true;
	return feed_finish(&w->feed);
}

/* Stops inside a transaction: what has been read of it is dropped.  Where it
 * is too late for that, closing the connection rolls it back. */
static int
break_off(struct writer *w)
{
	w->finished = true;
	return feed_drop(&w->feed) ? feed_finish(&w->feed) : EXIT_DONE;
}

/* All before is complete. */
static int
boundary(struct writer *w)
{
	feed_boundary(&w->feed, w->last.commit_lsn, w->last.seq);
	return signals_stop_requested() ? finish(w) : EXIT_DONE;
}

/* Sources */

/* What is stored of the source, from here on. */
static int
use_state(struct writer *w, uint32_t timeline)
{
	const struct copyin_mark known = {
	    w->state.commit_lsn, w->state.seq, w->state.checkpoint, timeline};

	return feed_source(&w->feed, buf_view(&w->source), &known);
}

static int
switch_source(struct writer *w, struct view source)
{
	int rc = boundary(w);

	if (rc == EXIT_DONE && !w->finished)
		rc = feed_settle(&w->feed);
	if (rc != EXIT_DONE || w->finished)
		return rc;
	rc = store_lock_writer(&w->pg, source);
	if (rc == EXIT_DONE)
		rc = store_state(&w->pg, source, &w->state);
	if (rc != EXIT_DONE)
		return rc;
	buf_clear(&w->source);
	buf_addv(&w->source, source);
	w->last = (struct position){0, 0};
	w->started = false;
	return use_state(w, 0);
}

static int
on_start(struct writer *w, const struct stream_start *start)
{
	int rc;

	if (w->feed.inside) {
		rc = break_off(w);
		if (rc != EXIT_DONE)
			return rc;
		log_error("could not read on: line %llu begins anew inside a "
			  "transaction",
		    (unsigned long long)w->in.number);
		return EXIT_RETRY;
	}
	rc = switch_source(w, start->source_id);
	if (rc != EXIT_DONE || w->finished)
		return rc;
	w->started = w->whole = w->feed.acked = true;
	w->unsure = false;
	rc = gap_check(&w->pg, start, w->o->accept_gap, &w->state);
	return rc == EXIT_DONE ? use_state(w, start->timeline) : rc;
}

/* Lines */

/* A line can not be accepted.  Of a stream with control lines what is complete
 * is stored; one without them may be mended and given again as a whole, also
 * if its events have no identity. */
static int
refused(struct writer *w)
{
	if (w->whole)
		break_off(w);
	return EXIT_DATA;
}

/* Which event it is, as far as that is known. */
static void
add_identity(struct buf *b, const struct line_error *e)
{
	struct view source = utf8_clip(e->source_id, NAME_BYTES);
	struct view schema = utf8_clip(e->schema_name, NAME_BYTES);
	struct view table = utf8_clip(e->table_name, NAME_BYTES);

	if (e->seq != 0)
		buf_addf(b, ", event %s %llu", lsn_text(e->commit_lsn).s,
		    (unsigned long long)e->seq);
	if (source.p != NULL)
		buf_addf(b, "%s \"%.*s\"", e->seq != 0 ? " of" : ", source",
		    VIEW_FMT(source));
	if (table.p != NULL)
		buf_addf(b, ", table \"%.*s\".\"%.*s\"", VIEW_FMT(schema),
		    VIEW_FMT(table));
	if (e->seq == 0 && e->lsn.p != NULL)
		buf_addf(b, ", lsn %.*s", VIEW_FMT(e->lsn));
}

static int
refuse_line(struct writer *w, const struct line_error *e)
{
	struct buf more = BUF_INIT;
	struct view key = utf8_clip(e->key, NAME_BYTES);

	if (key.p != NULL)
		buf_addf(&more, "key \"%.*s\", ", VIEW_FMT(key));
	buf_addf(&more, "byte %zu", e->offset + 1);
	add_identity(&more, e);
	log_error("could not accept line %llu: %s (%.*s)",
	    (unsigned long long)w->in.number, e->reason,
	    VIEW_FMT(buf_view(&more)));
	buf_release(&more);
	if (e->no_memory)
		return EXIT_OS;
	if (!e->control)
		log_hint("%sWith --rejects FILE such lines go there, and the "
			 "rest goes on.",
		    e->too_long ? "Let longer lines in with --max-line.  "
				: "");
	return refused(w);
}

/* Into the file of rejects, if there is one.  Not a control line: what comes
 * behind would not mean the same without it. */
static int
reject_line(struct writer *w, struct view text, const struct line_error *e)
{
	struct rejects *r = &w->feed.rejects;
	int rc;

	if (w->o->rejects == NULL || e->control || e->no_memory)
		return refuse_line(w, e);
	feed_touch(&w->feed);
	rejects_begin(r, w->in.number, e);
	w->skipping = text.n > w->o->max_line;
	if (w->skipping)
		return EXIT_DONE;
	rc = rejects_add(r, text);
	return rc == EXIT_DONE ? rejects_end(r) : rc;
}

/* What is there of it. */
static int
on_long(struct writer *w, struct view text)
{
	struct line_error e = {.reason = "is longer than --max-line",
	    .offset = (size_t)w->o->max_line,
	    .too_long = true,
	    .control = event_read_is_control(text)};

	event_read_identify(&w->json, text, &e);
	return reject_line(w, text, &e);
}

/* A piece of it, perhaps the last one. */
static int
on_skipped(struct writer *w, struct view piece, bool last)
{
	int rc = rejects_add(&w->feed.rejects, piece);

	w->skipping = !last;
	return rc == EXIT_DONE && last ? rejects_end(&w->feed.rejects) : rc;
}

static int
refuse_order(struct writer *w, struct position at)
{
	struct view source = utf8_clip(buf_view(&w->source), NAME_BYTES);

	log_error("could not accept line %llu: out of order, (%s, %llu) after "
		  "(%s, %llu) of \"%.*s\"",
	    (unsigned long long)w->in.number, lsn_text(at.commit_lsn).s,
	    (unsigned long long)at.seq, lsn_text(w->last.commit_lsn).s,
	    (unsigned long long)w->last.seq, VIEW_FMT(source));
	log_hint("Sort the lines of each source by commit_lsn and seq, and "
		 "leave out those that are there twice.");
	return refused(w);
}

/*
 * A reader's stream, of which another writer has taken the beginning out of the
 * same pipe: what came before is lost with it, unless the reader sends it
 * again. So nothing is stored or acknowledged.
 */
static int
refuse_rest(struct writer *w)
{
	w->finished = true;
	log_error("could not read on: the stream of source \"%.*s\" has no "
		  "start line before line %llu",
	    VIEW_FMT(buf_view(&w->source)), (unsigned long long)w->in.number);
	log_hint("Another buffer-write has read from the same pipe: start "
		 "pg-cdc-read again, too.");
	return EXIT_RETRY;
}

/* It is not: what has been read of it is complete. */
static int
become_sure(struct writer *w)
{
	w->unsure = false;
	return w->feed.inside ? boundary(w) : EXIT_DONE;
}

/* Where the event begins something new, what is before it is complete. */
static int
begin_event(struct writer *w, struct view source, struct position at)
{
	bool other = !view_eq(buf_view(&w->source), source);
	int rc = EXIT_DONE;

	/* a reader has one source, and all its events have a position */
	if (w->unsure && (at.seq == 0 || (other && w->source.len > 0)))
		rc = become_sure(w);
	if (rc != EXIT_DONE || w->finished)
		return rc;
	if (other)
		rc = switch_source(w, source);
	else if (w->feed.inside && !w->unsure &&
	    (at.seq == 0 || at.commit_lsn != w->last.commit_lsn))
		rc = boundary(w);
	w->feed.inside = w->whole || w->unsure;
	return rc;
}

static int
on_event(struct writer *w, const struct event *e)
{
	struct position at = {e->commit_lsn, e->seq};
	struct position stored;
	int rc = begin_event(w, e->source_id, at);

	if (rc != EXIT_DONE || w->finished)
		return rc;
	feed_touch(&w->feed);
	stored = (struct position){w->state.stored, w->state.seq};
	if (at.seq != 0 && position_order(at, stored) <= 0) {
		w->skipped++; /* stored before */
		return EXIT_DONE;
	}
	if (at.seq != 0 && !w->started && w->state.has_checkpoint)
		return refuse_rest(w);
	if (at.seq != 0 && position_order(at, w->last) <= 0)
		return refuse_order(w, at);
	if (at.seq != 0)
		w->last = at;
	rc = feed_row(&w->feed, e, w->in.number);
	/* without control lines each stands for itself */
	return rc == EXIT_DONE && !w->feed.inside ? boundary(w) : rc;
}

static int
on_checkpoint(struct writer *w, struct view ack)
{
	struct line_error e = {.reason = "is not an LSN such as 0/1A2B3C4",
	    .key = VIEW_LIT("ack")};
	uint64_t lsn = 0;
	bool is_lsn;

	w->whole = w->feed.acked = true;
	is_lsn = lsn_parse(ack, &lsn);
	if (w->started && !is_lsn)
		return refuse_line(w, &e);
	if (!w->started && is_lsn)
		return refuse_rest(w);
	w->unsure = false;
	feed_touch(&w->feed);
	feed_checkpoint(&w->feed, ack, lsn);
	return boundary(w);
}

static int
on_line(struct writer *w, struct view text)
{
	struct stream_line line = {0};
	struct line_error e = {0};

	if (!event_read(&w->json, text, &line, &e))
		return reject_line(w, text, &e);
	switch (line.kind) {
	case LINE_EVENT:
		return on_event(w, &line.event);
	case LINE_START:
		return on_start(w, &line.start);
	case LINE_CHECKPOINT:
		return on_checkpoint(w, line.ack);
	case LINE_ALIVE:
		return w->started ? EXIT_DONE : refuse_rest(w);
	case LINE_OTHER:
		return EXIT_DONE;
	}
	return EXIT_BUG;
}

/* The tail of an unfinished transaction is dropped: nothing of it was acked,
 * so it comes again. */
static int
on_end(struct writer *w, bool cut)
{
	int rc = w->unsure ? become_sure(w) : EXIT_DONE;
	bool inside = w->feed.inside;

	if (rc == EXIT_DONE && !w->finished)
		rc = inside ? break_off(w) : finish(w);
	if (rc != EXIT_DONE || (!inside && !cut))
		return rc;
	if (inside)
		log_error("could not read on: stdin ended inside a "
			  "transaction");
	else
		log_error("could not read on: stdin ended inside line %llu",
		    (unsigned long long)w->in.number + !w->skipping);
	return EXIT_RETRY;
}

/* Nothing to read now: waits, and looks after what has been read. */
static int
on_dry(struct writer *w)
{
	int64_t until = 0;
	bool readable;
	int rc = feed_step(&w->feed, true);

	if (rc != EXIT_DONE)
		return rc;
	if (w->silent_from == 0)
		w->silent_from = clock_ms();
	if (w->feed.inside)
		until = w->stop_by != 0
		    ? w->stop_by
		    : w->silent_from + (w->unsure ? SURE_MS : SILENCE_MS);
	rc = feed_wait(&w->feed, w->in.fd, until, &readable);
	if (readable)
		w->silent_from = 0;
	if (rc == EXIT_DONE && !readable && w->unsure && w->feed.inside &&
	    clock_left(w->silent_from + SURE_MS) == 0)
		return become_sure(w);
	if (rc != EXIT_DONE || readable || !w->feed.inside ||
	    clock_left(w->silent_from + SILENCE_MS) > 0)
		return rc;
	rc = break_off(w);
	if (rc != EXIT_DONE)
		return rc;
	log_error("could not read on: stdin was silent inside a transaction");
	return EXIT_RETRY;
}

/* Told to stop: at a boundary, or when its time is over. */
static int
on_stop(struct writer *w)
{
	int rc;

	if (!w->feed.inside)
		return finish(w);
	if (w->stop_by == 0)
		w->stop_by = clock_ms() + STOP_GRACE_MS;
	if (clock_left(w->stop_by) > 0)
		return EXIT_DONE;
	rc = break_off(w);
	if (rc != EXIT_DONE)
		return rc;
	log_error("could not stop in order: the transaction in progress did "
		  "not end in time");
	return EXIT_RETRY;
}

static int
on_ready(struct writer *w, struct view text)
{
	int rc = w->skipping ? on_skipped(w, text, true) : on_line(w, text);

	w->silent_from = 0;
	if (rc == EXIT_DONE && !w->finished && feed_has_much(&w->feed))
		rc = feed_step(&w->feed, false);
	return rc;
}

/* Takes what there is of stdin, a line or less. */
static int
read_line(struct writer *w)
{
	struct view text;

	switch (
	    w->skipping ? line_skip(&w->in, &text) : line_next(&w->in, &text)) {
	case LINE_READY:
		return on_ready(w, text);
	case LINE_LONG:
		w->silent_from = 0;
		return w->skipping ? on_skipped(w, text, false)
				   : on_long(w, text);
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

/* Nothing more is taken now: waits for the server. */
static int
on_full(struct writer *w)
{
	bool readable;
	int rc = feed_step(&w->feed, false);

	if (rc != EXIT_DONE || feed_takes(&w->feed))
		return rc;
	return feed_wait(&w->feed, -1, w->stop_by, &readable);
}

static int
run_loop(struct writer *w)
{
	int rc = EXIT_DONE;

	while (rc == EXIT_DONE && !w->finished) {
		if (signals_stop_requested())
			rc = on_stop(w);
		if (rc == EXIT_DONE && !w->finished)
			rc = feed_takes(&w->feed) ? read_line(w) : on_full(w);
	}
	return rc;
}

/* Of a file nobody else has read the beginning. */
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
	struct writer w = {.o = o};
	int rc, closed;

	feed_init(&w.feed, STDOUT_FILENO);
	w.feed.batch_size = o->batch_size;
	w.feed.flush_interval = o->flush_interval;
	line_init(&w.in, STDIN_FILENO, (size_t)o->max_line);
	w.unsure = is_pipe(STDIN_FILENO);
	rc = rejects_open(&w.feed.rejects, o->rejects);
	if (rc == EXIT_DONE)
		rc = store_open(&w.pg, o->conninfo);
	if (rc == EXIT_DONE)
		rc = copyin_init(&w.feed.copy, &w.pg, o->conninfo);
	if (rc == EXIT_DONE)
		rc = run_loop(&w);
	if (w.skipped > 0)
		log_info("skipped %llu events at or below the watermark",
		    (unsigned long long)w.skipped);
	closed = feed_release(&w.feed);
	pg_close(&w.pg);
	store_state_release(&w.state);
	event_reader_release(&w.json);
	line_release(&w.in);
	buf_release(&w.source);
	return rc != EXIT_DONE ? rc : closed;
}
