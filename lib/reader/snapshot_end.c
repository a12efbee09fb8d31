#include "reader/snapshot_steps.h"

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/json_write.h"
#include "base/log.h"
#include "base/lsn.h"
#include "sql.h"

#define MOST_BLOCKS ((uint64_t)1 << 20)
#define LOCKED_MS   1000 /* until locked tables are tried again */
#define FLUSH_MS    10   /* until the source's disk is looked at again */

static const char doing[] = "flush what a snapshot shows";

/* Marks */

void
snapshot_mark(struct snapshot *s, struct decode *d, struct buf *out,
    const struct snapshot_table *t, const char *state, const char *reason)
{
	static const struct snapshot_table none;
	struct buf data = BUF_INIT;

	t = t != NULL ? t : &none;
	buf_adds(&data, "{\"id\":");
	json_write_string(&data, buf_view(&s->state.wish.id));
	buf_addf(&data,
	    ",\"state\":\"%s\",\"rows\":%llu,\"blocks\":%llu,\"of\":%llu",
	    state, (unsigned long long)t->rows, (unsigned long long)t->blocks,
	    (unsigned long long)t->of);
	if (reason != NULL) {
		buf_adds(&data, ",\"reason\":");
		json_write_string(&data, view_of(reason));
	}
	buf_addc(&data, '}');
	decode_mark(d, buf_view(&t->name.schema), buf_view(&t->name.table),
	    buf_view(&data), out);
	out->failed |= data.failed;
	buf_release(&data);
}

/* The end of a marker */

/* No table is at hand: goes on to the next ones, or ends the request. */
static int
advance(struct snapshot *s, struct decode *d, struct buf *out)
{
	int rc = EXIT_DONE;

	s->locked = false;
	if (!s->state.cancelled)
		rc = snapshot_choose(s);
	while (rc == EXIT_DONE && s->state.n == 0 && !s->locked) {
		snapshot_mark(s, d, out, NULL, "done", NULL);
		log_info("snapshot \"%.*s\" is done",
		    VIEW_FMT(buf_view(&s->state.wish.id)));
		snapshot_state_pop(&s->state);
		s->active = s->state.wish.id.len > 0;
		if (!s->active)
			break;
		rc = snapshot_choose(s);
	}
	return rc;
}

void
snapshot_adapt(struct snapshot *s, uint64_t blocks, int64_t ms)
{
	uint64_t took = (uint64_t)ms + 1, pause = (uint64_t)s->o.pause_ms;
	uint64_t n = blocks * pause / took;

	if (blocks == 0 || (blocks < s->blocks && took < pause))
		return;
	if (n > 2 * s->blocks)
		n = 2 * s->blocks;
	s->blocks = n < 1 ? 1 : n > MOST_BLOCKS ? MOST_BLOCKS : n;
}

void
snapshot_end_reading(struct snapshot *s, int64_t pause_ms)
{
	s->reading = s->copying = false;
	s->next_at = pause_ms > 0 ? clock_ms() + pause_ms : 0;
}

/*
 * What the rows show must be on the source's disk before a writer gets the end
 * of their transaction.  A crash would undo it else, and to read the part again
 * would not take a row back that should not be there.
 */
static int
flush_shown(struct snapshot *s)
{
	const struct lsn_text shown = lsn_text(s->shown);
	const char *params[] = {shown.s};
	PGresult *res;
	bool flushed;
	int rc = pg_query(&s->chunk.lanes[0].pg, doing, SQL_SNAPSHOT_FLUSHED, 1,
	    params, &res);

	flushed = rc != EXIT_DONE ||
	    view_eq(pg_value(res, 0, 0), VIEW_LIT("t"));
	PQclear(res);
	if (flushed)
		s->shown = 0;
	if (!flushed && s->asked) /* a standby may keep that answer away */
		s->retry_at = clock_ms() + FLUSH_MS;
	if (flushed || s->asked)
		return rc;
	if (PQsendQuery(s->marker.conn, SQL_SNAPSHOT_FLUSH) == 0)
		return pg_failed(&s->marker, doing, NULL);
	s->shown = 0;
	s->asked = s->flushing = true;
	return EXIT_DONE;
}

int
snapshot_end_marker(struct snapshot *s, struct decode *d, struct buf *out)
{
	int rc = EXIT_DONE;
	bool ignored;

	if (s->shown > 0)
		return flush_shown(s);
	if (!s->o.acked)
		snapshot_adapt(
		    s, s->blocks_read, clock_ms() - s->reading_since);
	if (s->renewal) /* no part is read that would forget them */
		rc = snapshot_look(s, &ignored);
	if (!s->renewal && s->state.n == 0)
		rc = advance(s, d, out);
	s->progress &= !s->locked;
	snapshot_end_reading(s, s->progress || s->renewal ? 0 : LOCKED_MS);
	return rc;
}
