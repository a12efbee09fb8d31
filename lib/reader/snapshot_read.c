#include "reader/snapshot_steps.h"

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "reader/waiting.h"
#include "sql.h"

#define VISIBLE_MS 1000 /* for a transaction to become visible */
#define STALLED_MS 5000 /* that the output may stand still within a part */
#define KEYS_BYTES ((size_t)256 << 10)
#define SLICES     8 /* of what is asked for; between two the clock is read */

static struct snapshot_table *
at_hand(struct snapshot *s)
{
	return &s->state.tables[s->turn];
}

static void
next_turn(struct snapshot *s)
{
	s->by_key = s->copying = s->marked = false;
	s->turn++;
	s->left--;
}

/* The table at hand is done, or cannot be read. */
static void
remove_table(struct snapshot *s)
{
	snapshot_state_remove(&s->state, s->turn);
	s->by_key = s->copying = s->marked = false;
	s->progress = true;
	s->left--;
}

static int
fail_table(
    struct snapshot *s, struct decode *d, struct buf *out, const char *why)
{
	log_warning("could not take a snapshot of %s: %s",
	    at_hand(s)->name.sql.data, why);
	snapshot_mark(s, d, out, at_hand(s), "failed", why);
	remove_table(s);
	return EXIT_DONE;
}

static int
fail_chunk(struct snapshot *s, struct decode *d, struct buf *out)
{
	return fail_table(s, d, out, buf_str(&s->chunk.reason));
}

/* The turn of a table */

static uint64_t
slice(const struct snapshot *s)
{
	return s->blocks / SLICES > 0 ? s->blocks / SLICES : 1;
}

static struct chunk_part
part(struct snapshot *s)
{
	struct snapshot_table *t = at_hand(s);
	struct chunk_part p = snapshot_whole_part(s, t);

	if (s->by_key) {
		p.keys = buf_view(&s->keys);
	} else if (!t->whole) {
		p.leaf = &t->leaf;
		p.from = t->from;
		p.to = t->to - t->from < slice(s) ? t->to : t->from + slice(s);
	}
	return p;
}

static int
start_copy(struct snapshot *s)
{
	struct chunk_part p;

	if (s->by_key) {
		int rc = keyspool_batch(
		    &at_hand(s)->keys, KEYS_BYTES, &s->keys);

		if (rc != EXIT_DONE)
			return rc;
	}
	p = part(s);
	s->copying = true;
	s->rows = 0;
	if (s->chunk.shown > s->shown)
		s->shown = s->chunk.shown;
	return chunk_copy(&s->chunk, &p);
}

/* Are the rows that were read still as they would be read now?  A leaf that was
 * rewritten may have them in other blocks (rule 3). */
static bool
is_as_before(const struct snapshot *s, const struct snapshot_table *t)
{
	if (t->begun && !view_eq(buf_view(&t->shape), s->chunk.shape))
		return false;
	return t->leaf_oid == 0 ||
	    (t->leaf_oid == s->chunk.leaf && t->filenode == s->chunk.filenode);
}

/* What was known of the size before was an estimate. */
static void
correct_size(struct snapshot_table *t)
{
	bool alone = view_eq(buf_view(&t->leaf.sql), buf_view(&t->name.sql));

	if (alone || t->of < t->blocks + t->leaf_blocks)
		t->of = t->blocks + t->leaf_blocks;
}

/* Fixes the leaf's size when it begins. */
static bool
take_leaf(struct snapshot *s, struct decode *d, struct buf *out)
{
	struct snapshot_table *t = at_hand(s);
	bool first = !t->begun;

	if (!is_as_before(s, t) && SNAPSHOT_RULE(3))
		return false;
	if (t->leaf_oid == 0) {
		t->leaf_oid = s->chunk.leaf;
		t->filenode = s->chunk.filenode;
		t->leaf_blocks = s->chunk.blocks;
		correct_size(t);
	}
	if (first) {
		buf_clear(&t->shape);
		buf_addv(&t->shape, s->chunk.shape);
	}
	if (t->to > t->leaf_blocks)
		t->to = t->leaf_blocks;
	decode_tell(d, s->chunk.relation, out);
	snapshot_mark(s, d, out, t, first ? "begin" : "chunk", NULL);
	t->begun = s->marked = true;
	return true;
}

/*
 * The stream may have the table's `end` already, when a reader before us was
 * killed: so rows by their keys have a mark, too.
 */
static bool
take_keys(struct snapshot *s, struct decode *d, struct buf *out)
{
	struct snapshot_table *t = at_hand(s);

	if (!view_eq(buf_view(&t->shape), s->chunk.shape))
		return false;
	if (!s->marked)
		snapshot_mark(s, d, out, t, "chunk", NULL);
	s->marked = true;
	return true;
}

/*
 * A change made before the table was published is not in the stream.  So the
 * table begins when those who have changed it by now have ended: after that all
 * changes are streamed, or shown by the database snapshot.
 */
static int
look_for_writers(struct snapshot *s, struct snapshot_table *t)
{
	const char *params[] = {t->name.schema.data, t->name.table.data,
	    t->writers.len > 0 ? t->writers.data : NULL};
	PGresult *res;
	int rc;

	if (t->begun || t->quiet)
		return EXIT_DONE;
	rc = pg_query(&s->chunk.lanes[0].pg,
	    "look for those who change a table", SQL_SNAPSHOT_WRITERS, 3,
	    params, &res);
	if (rc == EXIT_DONE) {
		t->quiet = PQgetisnull(res, 0, 0);
		if (!t->quiet && t->writers.len == 0)
			log_info("the snapshot of %s waits for those who "
				 "change it to end their transactions",
			    t->name.sql.data);
		buf_clear(&t->writers);
		buf_addv(&t->writers, pg_value(res, 0, 0));
		buf_str(&t->writers);
	}
	PQclear(res);
	return rc;
}

static int
begin_anew(struct snapshot *s)
{
	int rc;

	log_info("%s has changed: its snapshot begins anew",
	    at_hand(s)->name.sql.data);
	rc = chunk_end(&s->chunk);
	if (rc == EXIT_DONE)
		rc = snapshot_choose_again(s, at_hand(s));
	s->progress = true;
	next_turn(s);
	return rc;
}

static int
read_part(struct snapshot *s, struct decode *d, struct buf *out)
{
	bool fit = s->by_key ? take_keys(s, d, out) : take_leaf(s, d, out);

	return fit ? start_copy(s) : begin_anew(s);
}

/* A part is not to be read now. */
static int
pass_over(struct snapshot *s)
{
	next_turn(s);
	return chunk_end(&s->chunk);
}

/* Does the database snapshot show all that was streamed?  If not, a new one is
 * tried, for some time. */
static int
wait_visible(struct snapshot *s)
{
	waiting_log(&s->streamed);
	if (clock_ms() >= s->reading_since + VISIBLE_MS)
		snapshot_end_reading(s, VISIBLE_MS);
	else
		s->retry_at = clock_ms() + 1;
	return chunk_end(&s->chunk);
}

/* Locks the table and takes a database snapshot; reads if it shows all. */
static int
begin_part(struct snapshot *s, struct decode *d, struct buf *out)
{
	struct snapshot_table *t = at_hand(s);
	struct chunk_part p = part(s);
	enum chunk_outcome outcome;
	int rc = look_for_writers(s, t);

	if (rc == EXIT_DONE && (t->begun || t->quiet))
		rc = chunk_begin(&s->chunk, &p, &outcome);
	else
		outcome = CHUNK_LOCKED;
	if (rc != EXIT_DONE)
		return rc;
	if (outcome == CHUNK_NO_LEAF)
		return begin_anew(s);
	if (outcome == CHUNK_FAILED)
		return fail_chunk(s, d, out);
	if (outcome == CHUNK_LOCKED) {
		next_turn(s);
		return EXIT_DONE;
	}
	if (decode_leaves_out(d, s->chunk.relation->schema_name,
		s->chunk.relation->table_name)) {
		remove_table(s);
		return chunk_end(&s->chunk);
	}
	if (!visible_all(&s->streamed, s->chunk.snapshot) && SNAPSHOT_RULE(1))
		return wait_visible(s);
	if (!s->chunk.whole)
		return read_part(s, d, out);
	s->progress |= !t->whole;
	t->whole = true;
	return pass_over(s);
}

static int
begin_whole(struct snapshot *s, struct decode *d, struct buf *out)
{
	struct snapshot_table *t = at_hand(s);
	const char *reason;
	bool ready;
	int rc = snapshot_whole_ready(s, t, &ready, &reason);

	if (rc != EXIT_DONE)
		return rc;
	if (reason != NULL)
		return fail_table(s, d, out, reason);
	if (!ready) {
		s->progress = true;
		next_turn(s);
		return EXIT_DONE;
	}
	decode_tell(d, s->chunk.relation, out);
	snapshot_mark(s, d, out, t, "begin", NULL);
	return start_copy(s);
}

static int
begin_turn(struct snapshot *s, struct decode *d, struct buf *out)
{
	struct snapshot_table *t = at_hand(s);

	s->by_key = t->step != SNAPSHOT_READ && keyspool_count(&t->keys) > 0;
	if (s->state.cancelled) {
		fail_table(s, d, out, "it was cancelled");
		return snapshot_whole_disarm(s);
	}
	if (t->armed)
		return begin_whole(s, d, out);
	if (t->step == SNAPSHOT_READ || s->by_key)
		return begin_part(s, d, out);
	snapshot_mark(s, d, out, t, "end", NULL);
	remove_table(s);
	return EXIT_DONE;
}

/* More keys are read under this marker, too. */
static int
end_keys(struct snapshot *s)
{
	struct snapshot_table *t = at_hand(s);

	keyspool_drop(&t->keys);
	s->copying = false;
	if (keyspool_count(&t->keys) == 0) {
		if (t->step == SNAPSHOT_KEYS)
			t->step = SNAPSHOT_END;
		next_turn(s);
	}
	return chunk_end(&s->chunk);
}

static int
end_blocks(struct snapshot *s)
{
	struct snapshot_table *t = at_hand(s);
	bool found = true;
	int rc = chunk_end(&s->chunk);

	if (rc == EXIT_DONE && t->from >= t->leaf_blocks)
		rc = snapshot_choose_leaf(s, t, &found);
	if (!found && !s->locked)
		t->step = SNAPSHOT_RULE(5) ? SNAPSHOT_KEYS : SNAPSHOT_END;
	if (keyspool_count(&t->keys) == 0) {
		next_turn(s);
		return rc;
	}
	s->by_key = true; /* under this marker, too */
	s->copying = false;
	return rc;
}

/* Is there time for one more slice?  Once a part is stored, what is behind it
 * takes one more commit. */
static bool
has_time(const struct snapshot *s)
{
	int64_t took = clock_ms() - s->reading_since;
	int64_t next = took * (int64_t)slice(s) / (int64_t)s->blocks_read;

	return took + next + 2 * s->lag <= s->o.pause_ms;
}

/* The rest of the part, if there is one, is left to the next marker once the
 * pause is over. */
static int
end_slice(struct snapshot *s)
{
	struct snapshot_table *t = at_hand(s);
	uint64_t n = s->chunk.part.to - s->chunk.part.from;

	t->rows += s->rows;
	t->blocks += n;
	t->from += n;
	s->blocks_read += n;
	return t->from < t->to && has_time(s) ? start_copy(s) : end_blocks(s);
}

static int
end_whole(struct snapshot *s)
{
	struct snapshot_table *t = at_hand(s);

	t->rows = s->rows;
	t->blocks = t->of = s->chunk.blocks;
	t->step = SNAPSHOT_END;
	next_turn(s);
	return chunk_end(&s->chunk);
}

static int
end_part(struct snapshot *s)
{
	s->progress = true;
	if (s->by_key)
		return end_keys(s);
	return at_hand(s)->whole ? end_whole(s) : end_slice(s);
}

/*
 * Nobody takes the rows.  If that lasts, the part is broken off and read again
 * later, since the source cannot clean up what its transaction may see.
 */
static int
stand_still(struct snapshot *s)
{
	int64_t now = clock_ms();

	if (s->full_since == 0)
		s->full_since = now;
	if (now < s->full_since + STALLED_MS)
		return EXIT_DONE;
	log_info("stdout is blocked: a part of %s will be read again",
	    at_hand(s)->name.sql.data);
	return pass_over(s);
}

static int
copy_rows(struct snapshot *s, struct decode *d, struct buf *out, size_t max)
{
	enum chunk_outcome outcome = CHUNK_OK;
	bool end = false;
	char *row = NULL;
	size_t len = 0;
	int rc = EXIT_DONE;

	if (out->len >= max)
		return stand_still(s);
	s->full_since = 0;
	while (rc == EXIT_DONE && !end && out->len < max) {
		rc = chunk_next(&s->chunk, &row, &len, &end, &outcome);
		if (rc != EXIT_DONE || row == NULL)
			break;
		rc = decode_row(d, s->chunk.relation,
		    buf_view(&s->state.wish.id), row, len, out);
		PQfreemem(row);
		s->rows += !s->by_key;
	}
	if (rc != EXIT_DONE || !end)
		return rc;
	return outcome == CHUNK_OK ? end_part(s) : fail_chunk(s, d, out);
}

/* A marker that takes longer than the pause leaves the other tables to the next
 * one, which begins with them. */
static bool
is_over(const struct snapshot *s)
{
	return s->left == 0 || s->renewal ||
	    (s->left < s->state.n &&
		clock_ms() >= s->reading_since + s->o.pause_ms);
}

int
snapshot_read(struct snapshot *s, struct decode *d, struct buf *out, size_t max)
{
	if (s->copying)
		return copy_rows(s, d, out, max);
	if (clock_ms() < s->retry_at || s->flushing)
		return EXIT_DONE;
	if (s->by_key)
		return begin_part(s, d, out);
	if (is_over(s))
		return snapshot_end_marker(s, d, out);
	if (s->turn >= s->state.n)
		s->turn = 0;
	return begin_turn(s, d, out);
}
