#include "writer.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "copyin.h"
#include "event_json.h"
#include "exitcode.h"
#include "fdio.h"
#include "line.h"
#include "log.h"
#include "lsn.h"
#include "stop.h"
#include "store.h"

#define SILENCE_MS 60000 /* of stdin, in the middle of a transaction */

/* (commit_lsn, seq) of an event; seq 0: none. */
struct position {
	uint64_t commit_lsn;
	uint64_t seq;
};

struct writer {
	const struct writer_options *o;
	struct pg pg;
	struct copyin copy;
	struct line_reader in;
	struct event_json_reader json;
	struct fdio_out out;

	struct buf source;        /* of the rows; empty: none yet */
	struct store_state state; /* of that source, as committed */
	struct position stored;   /* its watermark when we began with it */
	struct position last;     /* event read last */
	bool started;             /* by a start line: acks are LSNs */
	uint32_t timeline;

	bool whole;      /* control lines were seen */
	bool inside;     /* of a transaction whose end is not known yet */
	bool finished;   /* stop after what was committed */
	int64_t stop_by; /* 0: not told to stop inside a transaction */
	struct buf ack;  /* of the last checkpoint, to be sent; empty: none */
	uint64_t checkpoint;
	int64_t began_ms; /* first line since the last commit; 0: none */
};

static int
position_order(struct position a, struct position b)
{
	return event_order(a.commit_lsn, a.seq, b.commit_lsn, b.seq);
}

/* Committing */

static int
send_ack(struct writer *w)
{
	int rc = EXIT_DONE;

	if (w->ack.len == 0)
		return rc;
	buf_addv(&w->out.b, buf_view(&w->ack));
	buf_addc(&w->out.b, '\n');
	buf_clear(&w->ack);
	return fdio_out_drain(&w->out, STOP_GRACE_MS);
}

/* Everything read up to now is complete: stores it, then says so. */
static int
commit(struct writer *w)
{
	struct copyin_mark mark = {.timeline = w->timeline};
	int rc = EXIT_DONE;

	if (w->copy.events > 0 && w->copy.open && w->last.seq != 0) {
		mark.commit_lsn = w->last.commit_lsn;
		mark.seq = w->last.seq;
	}
	if (w->checkpoint > w->state.checkpoint)
		mark.checkpoint = w->checkpoint;
	if (w->copy.open || mark.checkpoint != 0) {
		rc = copyin_commit(&w->copy, &mark);
		if (rc != EXIT_DONE)
			return rc;
		log_info("committed %llu events",
		    (unsigned long long)w->copy.events);
	}
	if (mark.checkpoint != 0)
		w->state.checkpoint = mark.checkpoint;
	w->copy.events = 0;
	w->began_ms = 0;
	return send_ack(w);
}

static bool
limit_reached(const struct writer *w)
{
	return w->copy.events >= w->o->batch_size ||
	    (w->began_ms != 0 &&
		clock_ms() - w->began_ms >= w->o->flush_interval);
}

/* A boundary: all before it is complete. */
static int
boundary(struct writer *w)
{
	w->inside = false;
	w->finished = stop_requested();
	return w->finished || limit_reached(w) ? commit(w) : EXIT_DONE;
}

/* Sources */

/* What is stored of the source, from here on. */
static void
use_watermark(struct writer *w)
{
	w->stored.commit_lsn = w->state.commit_lsn;
	w->stored.seq = w->state.seq;
	copyin_source(&w->copy, buf_view(&w->source), w->stored.commit_lsn,
	    w->stored.seq);
}

static int
switch_source(struct writer *w, struct view source)
{
	int rc = commit(w);

	if (rc == EXIT_DONE)
		rc = store_lock_writer(&w->pg, source);
	if (rc == EXIT_DONE)
		rc = store_state(&w->pg, source, &w->state);
	if (rc != EXIT_DONE)
		return rc;
	buf_clear(&w->source);
	buf_addv(&w->source, source);
	use_watermark(w);
	w->last = (struct position){0, 0};
	w->started = false;
	w->timeline = 0;
	w->checkpoint = 0;
	return EXIT_DONE;
}

/* Why the stream does not go on where the buffer ends; null: it does. */
static const char *
find_gap(const struct store_state *have, const struct stream_start *start)
{
	uint64_t switched;

	if (!view_eq(buf_view(&have->system_id), start->system_id))
		return "it is another cluster";
	if (!view_eq(buf_view(&have->slot), start->slot))
		return "it is another slot";
	if (start->lsn > have->checkpoint)
		return "the slot is ahead: changes between are missing";
	/* the watermark is above the checkpoint if the last commit came between
	 * two of them; what is up to it would be taken for stored */
	if (have->checkpoint > start->flush || have->commit_lsn >= start->flush)
		return "the source's WAL ends before it: the source was reset";
	if (start->timeline == have->timeline)
		return NULL;
	if (start->timeline < have->timeline)
		return "the source is on an older timeline";
	if (!stream_history_find(start->history, have->timeline, &switched))
		return "the source's history lacks the buffer's timeline";
	if (have->checkpoint > switched || have->commit_lsn >= switched)
		return "the source's timeline left the buffer's before it";
	return NULL;
}

static int
refuse_gap(
    const struct writer *w, const struct stream_start *start, const char *why)
{
	log_error("could not continue the source \"%.*s\" from the buffer's "
		  "checkpoint %s: %s (slot \"%.*s\" of system %.*s, timeline "
		  "%u, at %s, WAL to %s)",
	    VIEW_FMT(start->source_id), lsn_text(w->state.checkpoint).s, why,
	    VIEW_FMT(start->slot), VIEW_FMT(start->system_id),
	    (unsigned)start->timeline, lsn_text(start->lsn).s,
	    lsn_text(start->flush).s);
	log_hint("Find out what is missing; buffer-write --accept-gap goes on "
		 "from the slot's position and records the gap.");
	return EXIT_OPERATOR;
}

static int
begin_source(
    struct writer *w, const struct stream_start *start, const char *kind)
{
	int rc = store_start_source(&w->pg, start, kind);

	if (rc == EXIT_DONE)
		rc = store_state(&w->pg, start->source_id, &w->state);
	use_watermark(w);
	return rc;
}

static int
on_start(struct writer *w, const struct stream_start *start)
{
	const char *gap = NULL;
	int rc = switch_source(w, start->source_id);

	if (rc != EXIT_DONE)
		return rc;
	if (w->state.has_checkpoint)
		gap = find_gap(&w->state, start);
	if (gap != NULL && !w->o->accept_gap)
		return refuse_gap(w, start, gap);
	if (gap != NULL)
		rc = begin_source(w, start, "gap");
	else if (!w->state.has_checkpoint)
		rc = begin_source(w, start, "start");
	w->started = w->whole = true;
	w->timeline = start->timeline;
	return rc;
}

/* Lines */

static int
refuse_line(const struct writer *w, const struct line_error *e)
{
	struct view key = e->key;

	if (key.n > 64)
		key.n = 64;
	if (key.p != NULL)
		log_error("could not accept line %llu: %s (key \"%.*s\", byte "
			  "%zu)",
		    (unsigned long long)w->in.number, e->reason, VIEW_FMT(key),
		    e->offset + 1);
	else
		log_error("could not accept line %llu: %s (byte %zu)",
		    (unsigned long long)w->in.number, e->reason, e->offset + 1);
	return EXIT_DATA;
}

static int
refuse_order(const struct writer *w, struct position at)
{
	log_error("could not accept line %llu: out of order, (%s, %llu) after "
		  "(%s, %llu)",
	    (unsigned long long)w->in.number, lsn_text(at.commit_lsn).s,
	    (unsigned long long)at.seq, lsn_text(w->last.commit_lsn).s,
	    (unsigned long long)w->last.seq);
	return EXIT_DATA;
}

static int
on_event(struct writer *w, const struct event *e)
{
	struct position at = {e->commit_lsn, e->seq};
	int rc = EXIT_DONE;

	if (!view_eq(buf_view(&w->source), e->source_id))
		rc = switch_source(w, e->source_id);
	else if (!w->whole || at.seq == 0 ||
	    at.commit_lsn != w->last.commit_lsn)
		rc = boundary(w);
	if (rc != EXIT_DONE || w->finished)
		return rc;
	w->inside = w->whole;
	if (w->began_ms == 0)
		w->began_ms = clock_ms();
	if (at.seq == 0)
		return copyin_row(&w->copy, e);
	if (position_order(at, w->stored) <= 0)
		return EXIT_DONE; /* stored before */
	if (position_order(at, w->last) <= 0)
		return refuse_order(w, at);
	w->last = at;
	return copyin_row(&w->copy, e);
}

static int
on_checkpoint(struct writer *w, struct view ack)
{
	struct line_error e = {
	    "is not an LSN such as 0/1A2B3C4", 0, VIEW_LIT("ack")};
	uint64_t lsn;

	w->whole = true;
	if (w->started) {
		if (!lsn_parse(ack, &lsn))
			return refuse_line(w, &e);
		if (lsn > w->checkpoint)
			w->checkpoint = lsn;
	}
	buf_clear(&w->ack);
	buf_addv(&w->ack, ack);
	if (w->began_ms == 0)
		w->began_ms = clock_ms();
	return boundary(w);
}

static int
on_line(struct writer *w, struct view text)
{
	struct stream_line line = {0};
	struct line_error e = {0};

	if (!event_json_get(&w->json, text, &line, &e))
		return refuse_line(w, &e);
	switch (line.kind) {
	case LINE_EVENT:
		return on_event(w, &line.event);
	case LINE_START:
		return on_start(w, &line.start);
	case LINE_CHECKPOINT:
		return on_checkpoint(w, line.ack);
	}
	return EXIT_BUG;
}

/* The tail of an unfinished transaction is dropped: nothing of it was acked,
 * so it comes again. */
static int
on_end(struct writer *w, bool cut)
{
	int rc;

	w->finished = true;
	if (w->inside) {
		log_error("could not read on: stdin ended inside a "
			  "transaction");
		return EXIT_RETRY;
	}
	rc = commit(w);
	if (rc == EXIT_DONE && cut) {
		log_error("could not read on: stdin ended inside line %llu",
		    (unsigned long long)w->in.number + 1);
		rc = EXIT_RETRY;
	}
	return rc;
}

/* Nothing to read now: commits what is complete, then waits. */
static int
on_dry(struct writer *w)
{
	int64_t wait = -1;
	int rc = w->inside ? EXIT_DONE : commit(w);

	if (rc != EXIT_DONE)
		return rc;
	if (w->inside)
		wait = w->stop_by != 0 ? clock_left(w->stop_by) : SILENCE_MS;
	if (fdio_wait(w->in.fd, POLLIN, wait) != 0 || stop_requested() ||
	    !w->inside)
		return rc;
	log_error("could not read on: stdin was silent inside a transaction");
	return EXIT_RETRY;
}

/* Told to stop: at a boundary, or when its time is over. */
static int
on_stop(struct writer *w)
{
	if (!w->inside) {
		w->finished = true;
		return commit(w);
	}
	if (w->stop_by == 0)
		w->stop_by = clock_ms() + STOP_GRACE_MS;
	if (clock_left(w->stop_by) > 0)
		return EXIT_DONE;
	log_error("could not stop in order: the transaction in progress did "
		  "not end in time");
	return EXIT_RETRY;
}

static int
run_loop(struct writer *w)
{
	struct view text;
	int rc = EXIT_DONE;

	while (rc == EXIT_DONE && !w->finished) {
		if (stop_requested())
			rc = on_stop(w);
		if (rc != EXIT_DONE || w->finished)
			break;
		switch (line_next(&w->in, &text)) {
		case LINE_READY:
			rc = on_line(w, text);
			break;
		case LINE_DRY:
			rc = on_dry(w);
			break;
		case LINE_EOF:
			rc = on_end(w, false);
			break;
		case LINE_CUT:
			rc = on_end(w, true);
			break;
		case LINE_LONG:
			log_error("could not accept line %llu: longer than "
				  "%llu bytes",
			    (unsigned long long)w->in.number,
			    (unsigned long long)w->o->max_line);
			rc = EXIT_DATA;
			break;
		case LINE_ERROR:
			log_error(
			    "could not read \"stdin\": %s", strerror(errno));
			rc = errno == ENOMEM ? EXIT_OS : EXIT_IO;
			break;
		}
	}
	return rc;
}

int
writer_run(const struct writer_options *o)
{
	struct writer w = {.o = o};
	int rc, closed;

	fdio_out_init(&w.out, STDOUT_FILENO, "stdout");
	line_init(&w.in, STDIN_FILENO, (size_t)o->max_line);
	rc = store_open(&w.pg, o->conninfo);
	if (rc == EXIT_DONE)
		rc = copyin_init(&w.copy, &w.pg, o->conninfo);
	if (rc == EXIT_DONE)
		rc = run_loop(&w);
	pg_close(&w.pg);
	closed = fdio_out_close(&w.out);
	copyin_release(&w.copy);
	store_state_release(&w.state);
	event_json_reader_release(&w.json);
	line_release(&w.in);
	buf_release(&w.source);
	buf_release(&w.ack);
	return rc != EXIT_DONE ? rc : closed;
}
