#include "writer/gap.h"

#include "base/exitcode.h"
#include "base/log.h"
#include "base/lsn.h"
#include "writer/history.h"

/* Why the stream does not go on where the buffer ends; null: it does.  Without
 * a checkpoint it may go on anywhere, but what was stored from streams without
 * control lines has left a watermark. */
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
		return "it is another cluster";
	if (!view_eq(buf_view(&have->slot), start->slot))
		return "it is another slot";
	if (start->lsn > have->checkpoint)
		return "the slot is ahead: changes between are missing";
	/* the watermark is above the checkpoint if the last commit came between
	 * two of them; what is up to it would be taken for stored */
	if (have->checkpoint > start->flush || ahead)
		return reset;
	if (start->timeline == have->timeline)
		return NULL;
	if (start->timeline < have->timeline)
		return "the source is on an older timeline";
	if (!history_find(start->history, have->timeline, &switched))
		return "the source's history lacks the buffer's timeline";
	if (have->checkpoint > switched || have->stored >= switched)
		return "the source's timeline left the buffer's before it";
	return NULL;
}

static int
refuse(const struct store_state *have, const struct stream_start *start,
    const char *why)
{
	/* a commit that begins where the checkpoint is comes after it */
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
	log_hint("Find out what is missing; buffer-write --accept-gap goes on "
		 "from the slot's position and records the gap.");
	return EXIT_OPERATOR;
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
