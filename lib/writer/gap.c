#include "writer/gap.h"

#include "base/exitcode.h"
#include "base/log.h"
#include "base/lsn.h"
#include "writer/history.h"

/*
 * The reason for a gap, or NULL.  A source without a checkpoint may start
 * anywhere, but streams without control lines may have left a watermark, and
 * events at or below it would be skipped.
 */
static const char *
find_gap(const struct store_state *have, const struct stream_start *start)
{
	static const char reset[] =
	    "the source's WAL ends before it: the source was reset";
	bool ahead = have->seq != 0 && have->stored >= start->flush;
	uint64_t switched;

	if (!have->has_checkpoint)
		return ahead ? reset : NULL;
	if (!view_eq(buf_view(&have->system_id), start->system_id))
		return "the stream comes from another cluster";
	if (!view_eq(buf_view(&have->slot), start->slot))
		return "the stream comes from another slot";
	if (start->lsn > have->checkpoint)
		return "the slot is ahead: the changes between are missing";
	/* a commit between two checkpoints raises the watermark above the last
	 * one; events up to the watermark would be skipped */
	if (have->checkpoint > start->flush || ahead)
		return reset;
	if (start->timeline == have->timeline)
		return NULL;
	if (start->timeline < have->timeline)
		return "the source is on an older timeline";
	if (!history_find(start->history, have->timeline, &switched))
		return "the source's history lacks the buffer's timeline";
	if (have->checkpoint > switched || have->stored >= switched)
		return "the source's timeline branched off before it";
	return NULL;
}

static int
refuse(const struct store_state *have, const struct stream_start *start,
    const char *why)
{
	/* a commit at the checkpoint's LSN comes after the checkpoint */
	bool above = have->seq != 0 && have->stored >= have->checkpoint;

	log_error("could not continue the source \"%.*s\" from the buffer's "
		  "%s%s%s%s%s: %s (slot \"%.*s\" of system %.*s, timeline %u, "
		  "at %s, WAL to %s)",
	    VIEW_FMT(start->source_id),
	    have->has_checkpoint ? "checkpoint " : "",
	    have->has_checkpoint ? lsn_text(have->checkpoint).s : "",
	    have->has_checkpoint && above ? " and " : "",
	    above ? "watermark " : "", above ? lsn_text(have->stored).s : "",
	    why, VIEW_FMT(start->slot), VIEW_FMT(start->system_id),
	    (unsigned)start->timeline, lsn_text(start->lsn).s,
	    lsn_text(start->flush).s);
	log_hint("Find out which changes are missing.  buffer-write "
		 "--accept-gap records the gap and goes on from the slot's "
		 "position; \"philotes repair\" reads all tables again, too.");
	return EXIT_OPERATOR;
}

int
gap_look(const struct store_state *state, const struct stream_start *start)
{
	const char *why = find_gap(state, start);

	return why == NULL ? EXIT_DONE : refuse(state, start, why);
}

int
gap_check(struct pg *pg, const struct stream_start *start, bool accept,
    struct store_state *state)
{
	const char *why = find_gap(state, start);
	int rc;

	if (why == NULL && state->has_checkpoint)
		return EXIT_DONE;
	if (why != NULL && !accept)
		return refuse(state, start, why);
	rc = store_start_source(pg, start, why != NULL ? "gap" : "start");
	return rc == EXIT_DONE ? store_state(pg, start->source_id, state) : rc;
}
