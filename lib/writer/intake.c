#include "writer/intake.h"

#include "base/exitcode.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/signals.h"
#include "base/utf8.h"
#include "writer/gap.h"

#define NAME_BYTES 64 /* longer names are cut in a message */

static int
position_order(struct position a, struct position b)
{
	return event_order(a.commit_lsn, a.seq, b.commit_lsn, b.seq);
}

int
intake_finish(struct intake *in)
{
	in->finished = true;
	return feed_finish(&in->feed);
}

int
intake_abandon(struct intake *in)
{
	in->finished = true;
	return feed_drop(&in->feed) ? feed_finish(&in->feed) : EXIT_DONE;
}

/* Makes all events so far complete; a boundary is also a place to stop. */
static int
boundary(struct intake *in)
{
	feed_boundary(&in->feed, in->last.commit_lsn, in->last.seq);
	return signals_stop_requested() ? intake_finish(in) : EXIT_DONE;
}

int
intake_decide(struct intake *in)
{
	in->unsure = false;
	return in->feed.inside ? boundary(in) : EXIT_DONE;
}

/* Sources */

/* Tells the feed the stored state of the source. */
static int
use_state(struct intake *in, uint32_t timeline)
{
	const struct copyin_mark known = {in->state.commit_lsn, in->state.seq,
	    in->state.checkpoint, timeline};

	return feed_source(&in->feed, buf_view(&in->source), &known);
}

static int
switch_source(struct intake *in, struct view source)
{
	int rc = boundary(in);

	if (rc == EXIT_DONE && !in->finished)
		rc = feed_settle(&in->feed);
	if (rc != EXIT_DONE || in->finished)
		return rc;
	rc = store_lock_writer(&in->pg, source);
	if (rc == EXIT_DONE)
		rc = store_state(&in->pg, source, &in->state);
	if (rc == EXIT_DONE)
		rc = schema_intake_load(&in->schemas, &in->pg, source);
	if (rc != EXIT_DONE)
		return rc;
	buf_clear(&in->source);
	buf_addv(&in->source, source);
	in->last = (struct position){0, 0};
	in->started = false;
	return use_state(in, 0);
}

static int
on_start(struct intake *in, const struct stream_start *start)
{
	int rc;

	if (in->feed.inside) {
		rc = intake_abandon(in);
		if (rc != EXIT_DONE)
			return rc;
		log_error("could not read on: line %llu is a start line inside "
			  "a transaction",
		    (unsigned long long)in->number);
		return EXIT_RETRY;
	}
	rc = switch_source(in, start->source_id);
	if (rc != EXIT_DONE || in->finished)
		return rc;
	in->started = in->controlled = in->feed.acked = true;
	in->unsure = false;
	rc = gap_check(&in->pg, start, in->o->accept_gap, &in->state);
	return rc == EXIT_DONE ? use_state(in, start->timeline) : rc;
}

/* Bad lines */

/*
 * Ends at a line that cannot be accepted.  With control lines, the transactions
 * before it are stored.  Without them, nothing since the last commit is: events
 * without an identity would be stored twice when the corrected stream is fed
 * again.
 */
static int
refused(struct intake *in)
{
	if (in->controlled)
		intake_abandon(in);
	return EXIT_DATA;
}

/* Appends which event it is, as far as that is known. */
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
refuse_line(struct intake *in, const struct line_error *e)
{
	struct buf more = BUF_INIT;
	struct view key = utf8_clip(e->key, NAME_BYTES);

	if (key.p != NULL)
		buf_addf(&more, "key \"%.*s\", ", VIEW_FMT(key));
	buf_addf(&more, "byte %zu", e->offset + 1);
	add_identity(&more, e);
	log_error("could not accept line %llu: %s (%.*s)",
	    (unsigned long long)in->number, e->reason,
	    VIEW_FMT(buf_view(&more)));
	buf_release(&more);
	if (e->no_memory)
		return EXIT_OS;
	if (!e->control)
		log_hint("%sWith --rejects FILE, such lines go to FILE and the "
			 "others are stored.",
		    e->too_long ? "--max-line allows longer lines.  " : "");
	return refused(in);
}

/* Rejects a line, or refuses it.  A control line is always refused: the lines
 * after it would have another meaning without it. */
static int
reject_line(struct intake *in, struct view text, const struct line_error *e)
{
	struct rejects *r = &in->feed.rejects;
	int rc;

	if (in->o->rejects == NULL || e->control || e->no_memory)
		return refuse_line(in, e);
	feed_touch(&in->feed);
	rejects_begin(r, in->number, e);
	in->skipping = text.n > in->o->max_line;
	if (in->skipping)
		return EXIT_DONE;
	rc = rejects_add(r, text);
	return rc == EXIT_DONE ? rejects_end(r) : rc;
}

int
intake_long(struct intake *in, uint64_t number, struct view text)
{
	struct line_error e = {.reason = "is longer than --max-line",
	    .offset = (size_t)in->o->max_line,
	    .too_long = true,
	    .control = event_read_is_control(text)};

	in->number = number;
	event_read_identify(&in->json, text, &e);
	return reject_line(in, text, &e);
}

int
intake_rest(struct intake *in, struct view piece, bool last)
{
	struct rejects *r = &in->feed.rejects;
	int rc = rejects_add(r, piece);

	in->skipping = !last;
	return rc == EXIT_DONE && last ? rejects_end(r) : rc;
}

static int
refuse_order(struct intake *in, struct position at)
{
	struct view source = utf8_clip(buf_view(&in->source), NAME_BYTES);

	log_error("could not accept line %llu: out of order, (%s, %llu) after "
		  "(%s, %llu) of \"%.*s\"",
	    (unsigned long long)in->number, lsn_text(at.commit_lsn).s,
	    (unsigned long long)at.seq, lsn_text(in->last.commit_lsn).s,
	    (unsigned long long)in->last.seq, VIEW_FMT(source));
	log_hint("Sort the lines of each source by commit_lsn and seq, and "
		 "remove duplicates.");
	return refused(in);
}

/*
 * Ends at a line of a reader's stream without a start line: another
 * buffer-write has read the beginning from the same pipe, and lines may be lost
 * with it.  So nothing is stored or acknowledged.
 */
static int
refuse_remainder(struct intake *in)
{
	in->finished = true;
	log_error("could not read on: the stream of source \"%.*s\" has no "
		  "start line before line %llu",
	    VIEW_FMT(buf_view(&in->source)), (unsigned long long)in->number);
	log_hint("Another buffer-write has read from the same pipe: restart "
		 "pg-cdc-read, too.");
	return EXIT_RETRY;
}

/* Events */

/* Completes what is before the event, if it begins another source or
 * transaction. */
static int
begin_event(struct intake *in, struct view source, struct position at)
{
	bool other = !view_eq(buf_view(&in->source), source);
	int rc = EXIT_DONE;

	/* a reader's stream has one source, and each event a position */
	if (in->unsure && (at.seq == 0 || (other && in->source.len > 0)))
		rc = intake_decide(in);
	if (rc != EXIT_DONE || in->finished)
		return rc;
	if (other)
		rc = switch_source(in, source);
	else if (in->feed.inside && !in->unsure &&
	    (at.seq == 0 || at.commit_lsn != in->last.commit_lsn))
		rc = boundary(in);
	in->feed.inside = in->controlled || in->unsure;
	return rc;
}

static int
no_memory(void)
{
	log_error("could not keep a schema line: out of memory");
	return EXIT_OS;
}

/* Stores the event, and before it the schema line that it brings into effect. */
static int
store(struct intake *in, const struct event *e)
{
	struct view schema;
	int rc = EXIT_DONE;

	if (!schema_intake_due(&in->schemas, e, &schema))
		return no_memory();
	if (schema.p != NULL)
		rc = feed_schema(&in->feed, schema);
	return rc == EXIT_DONE ? feed_row(&in->feed, e, in->number) : rc;
}

static int
on_event(struct intake *in, const struct event *e)
{
	struct position at = {e->commit_lsn, e->seq};
	struct position stored;
	int rc = begin_event(in, e->source_id, at);

	if (rc != EXIT_DONE || in->finished)
		return rc;
	feed_touch(&in->feed);
	stored = (struct position){in->state.stored, in->state.seq};
	if (at.seq != 0 && position_order(at, stored) <= 0) {
		in->skipped++;
		return EXIT_DONE;
	}
	if (at.seq != 0 && !in->started && in->state.has_checkpoint)
		return refuse_remainder(in);
	if (at.seq != 0 && position_order(at, in->last) <= 0)
		return refuse_order(in, at);
	if (at.seq != 0)
		in->last = at;
	rc = store(in, e);
	/* without control lines each event is complete */
	return rc == EXIT_DONE && !in->feed.inside ? boundary(in) : rc;
}

/* Control lines */

static int
on_checkpoint(struct intake *in, struct view ack)
{
	struct line_error e = {.reason = "is not an LSN such as 0/1A2B3C4",
	    .key = VIEW_LIT("ack")};
	uint64_t lsn = 0;
	bool is_lsn;

	in->controlled = in->feed.acked = true;
	is_lsn = lsn_parse(ack, &lsn);
	if (in->started && !is_lsn)
		return refuse_line(in, &e);
	if (!in->started && is_lsn)
		return refuse_remainder(in);
	in->unsure = false;
	feed_touch(&in->feed);
	feed_checkpoint(&in->feed, ack, lsn);
	return boundary(in);
}

int
intake_line(struct intake *in, uint64_t number, struct view text)
{
	struct stream_line line = {0};
	struct line_error e = {0};

	in->number = number;
	if (!event_read(&in->json, text, &line, &e))
		return reject_line(in, text, &e);
	switch (line.kind) {
	case LINE_EVENT:
		return on_event(in, &line.event);
	case LINE_START:
		return on_start(in, &line.start);
	case LINE_CHECKPOINT:
		return on_checkpoint(in, line.ack);
	case LINE_ALIVE:
		return in->started ? EXIT_DONE : refuse_remainder(in);
	case LINE_SCHEMA:
		return schema_intake_take(&in->schemas, &line.schema)
		    ? EXIT_DONE
		    : no_memory();
	case LINE_OTHER:
		return EXIT_DONE;
	}
	return EXIT_BUG;
}

void
intake_release(struct intake *in)
{
	pg_close(&in->pg);
	store_state_release(&in->state);
	event_reader_release(&in->json);
	schema_intake_release(&in->schemas);
	buf_release(&in->source);
}
