#include "reader/snapshot_steps.h"

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/json_write.h"
#include "base/log.h"
#include "stream/tablelist.h"

#define MOST_BLOCKS ((uint64_t)1 << 20)
#define VISIBLE_MS  1000 /* for a transaction to become visible */
#define LOCKED_MS   1000 /* until a locked table is tried again */

/* Marks */

static void
add_mark(struct snapshot *s, struct decode *d, struct buf *out,
    const char *state, struct view schema, struct view table,
    const char *reason)
{
	struct buf data = BUF_INIT;

	buf_adds(&data, "{\"id\":");
	json_write_string(&data, buf_view(&s->state.id));
	buf_addf(&data,
	    ",\"state\":\"%s\",\"rows\":%llu,\"blocks\":%llu,\"of\":%llu",
	    state, (unsigned long long)s->state.rows,
	    (unsigned long long)s->state.blocks,
	    (unsigned long long)s->state.of);
	if (reason != NULL) {
		buf_adds(&data, ",\"reason\":");
		json_write_string(&data, view_of(reason));
	}
	buf_addc(&data, '}');
	decode_mark(d, schema, table, buf_view(&data), out);
	out->failed |= data.failed;
	buf_release(&data);
}

/* The mark of the table at hand. */
static void
add_table_mark(struct snapshot *s, struct decode *d, struct buf *out,
    const char *state, const char *reason)
{
	struct table_list name;
	const char *ignored;

	if (table_list_parse(&name, buf_str(&s->state.table), &ignored))
		add_mark(s, d, out, state, name.names[0].schema,
		    name.names[0].table, reason);
	table_list_release(&name);
}
/* The table at hand is done: goes on to the next one, or ends the request. */
static int
advance(struct snapshot *s, struct decode *d, struct buf *out)
{
	int rc = s->state.table.len > 0 ? snapshot_choose(s) : EXIT_DONE;

	if (rc != EXIT_DONE || s->state.table.len > 0)
		return rc;
	s->state.rows = s->state.blocks = s->state.of = 0;
	add_mark(s, d, out, "done", VIEW_LIT(""), VIEW_LIT(""), NULL);
	log_info("snapshot \"%.*s\" is done", VIEW_FMT(buf_view(&s->state.id)));
	snapshot_state_pop(&s->state);
	if (s->state.id.len > 0)
		return snapshot_choose(s);
	s->active = false;
	return EXIT_DONE;
}
/* At a marker */

static struct chunk_part
part(struct snapshot *s)
{
	const char *table = buf_str(&s->state.table);

	if (s->by_key)
		return (struct chunk_part){.publication = s->o.publication,
		    .table = table,
		    .leaf = table,
		    .keys = buf_view(&s->state.keys)};
	return (struct chunk_part){.publication = s->o.publication,
	    .table = table,
	    .leaf = buf_str(&s->state.leaf),
	    .from = s->state.from,
	    .to = s->state.to};
}

static int
end_reading(struct snapshot *s, int64_t pause_ms)
{
	s->reading = s->copying = false;
	s->next_at = pause_ms > 0 ? clock_ms() + pause_ms : 0;
	return EXIT_DONE;
}

static int
fail_table(struct snapshot *s, struct decode *d, struct buf *out)
{
	const char *why = buf_str(&s->chunk.reason);
	int rc;

	log_warning("could not take a snapshot of %s: %s",
	    buf_str(&s->state.table), why);
	add_table_mark(s, d, out, "failed", why);
	rc = advance(s, d, out);
	end_reading(s, 0);
	return rc;
}

/* Fixes the leaf's size when it begins.  False, by rule 3, if it was rewritten
 * since then: its rows may be in other blocks. */
static bool
take_leaf(struct snapshot *s, struct decode *d, struct buf *out)
{
	struct snapshot_state *t = &s->state;
	bool first = t->filenode == 0 && t->blocks == 0;

	if (t->filenode != 0 && t->filenode != s->chunk.filenode &&
	    SNAPSHOT_RULE(3))
		return false;
	if (t->filenode == 0) {
		t->filenode = s->chunk.filenode;
		t->leaf_blocks = s->chunk.blocks;
	}
	if (t->to > t->leaf_blocks)
		t->to = t->leaf_blocks;
	add_table_mark(s, d, out, first ? "begin" : "chunk", NULL);
	return true;
}

static int
start_copy(struct snapshot *s, struct decode *d, struct buf *out)
{
	struct chunk_part p = part(s);
	enum chunk_outcome outcome;
	int rc = chunk_copy(&s->chunk, &p, &outcome);

	s->copying = true;
	if (rc == EXIT_DONE && outcome == CHUNK_FAILED)
		return fail_table(s, d, out);
	return rc;
}

static int
read_blocks(struct snapshot *s, struct decode *d, struct buf *out)
{
	int rc;

	if (!take_leaf(s, d, out)) {
		log_info("%s was rewritten: its snapshot begins anew",
		    buf_str(&s->state.table));
		rc = chunk_end(&s->chunk);
		if (rc == EXIT_DONE)
			rc = snapshot_choose_again(s);
		end_reading(s, 0);
		return rc;
	}
	return start_copy(s, d, out);
}

/* Locks the table and takes a database snapshot; reads if it shows all, else
 * tries again. */
static int
begin_reading(struct snapshot *s, struct decode *d, struct buf *out)
{
	struct chunk_part p = part(s);
	enum chunk_outcome outcome;
	int rc = chunk_begin(&s->chunk, &p, &outcome);

	if (rc != EXIT_DONE)
		return rc;
	if (outcome == CHUNK_FAILED)
		return fail_table(s, d, out);
	if (outcome == CHUNK_LOCKED)
		return end_reading(s, LOCKED_MS);
	if (decode_leaves_out(d, s->chunk.relation->schema_name,
		s->chunk.relation->table_name)) {
		end_reading(s, 0);
		rc = chunk_end(&s->chunk);
		return rc == EXIT_DONE ? advance(s, d, out) : rc;
	}
	if (visible_all(&s->streamed, s->chunk.snapshot) || !SNAPSHOT_RULE(1))
		return s->by_key ? start_copy(s, d, out)
				 : read_blocks(s, d, out);
	rc = chunk_end(&s->chunk);
	if (clock_ms() >= s->reading_since + VISIBLE_MS)
		end_reading(s, VISIBLE_MS);
	else
		s->retry_at = clock_ms() + 1;
	return rc;
}

/* Adapts the number of blocks to the pause. */
static void
adapt(struct snapshot *s)
{
	int64_t took = clock_ms() - s->reading_since + 1;
	uint64_t n = s->blocks * (uint64_t)s->o.pause_ms / (uint64_t)took;

	if (n > 2 * s->blocks)
		n = 2 * s->blocks;
	s->blocks = n < 1 ? 1 : n > MOST_BLOCKS ? MOST_BLOCKS : n;
}

/* Reads the rows that must be read again by their keys. */
static void
begin_keys(struct snapshot *s)
{
	s->by_key = true;
	s->copying = false;
	s->retry_at = 0;
}

static int
end_keys(struct snapshot *s)
{
	int rc = chunk_end(&s->chunk);

	buf_clear(&s->state.keys);
	s->nkeys = 0;
	if (s->state.step == SNAPSHOT_KEYS && !s->part)
		s->state.step = SNAPSHOT_END;
	end_reading(s, 0);
	return rc;
}

static int
end_blocks(struct snapshot *s)
{
	struct snapshot_state *t = &s->state;
	bool found = true;
	int rc = chunk_end(&s->chunk);

	t->rows += s->rows;
	t->blocks += t->to - t->from;
	t->from = t->to;
	adapt(s);
	if (rc == EXIT_DONE && t->from >= t->leaf_blocks)
		rc = snapshot_choose_leaf(s, &found);
	if (!found)
		t->step = SNAPSHOT_KEYS;
	if (t->keys.len > 0)
		begin_keys(s);
	else
		end_reading(s, 0);
	return rc;
}

static int
copy_rows(struct snapshot *s, struct decode *d, struct buf *out, size_t max)
{
	enum chunk_outcome outcome = CHUNK_OK;
	bool end = false;
	char *row = NULL;
	size_t len = 0;
	int rc = EXIT_DONE;

	while (rc == EXIT_DONE && !end && out->len < max) {
		rc = chunk_next(&s->chunk, &row, &len, &end, &outcome);
		if (rc != EXIT_DONE || row == NULL)
			break;
		rc = decode_row(d, s->chunk.relation, buf_view(&s->state.id),
		    row, len, out);
		PQfreemem(row);
		s->rows += !s->by_key;
	}
	if (rc != EXIT_DONE || !end)
		return rc;
	if (outcome == CHUNK_FAILED)
		return fail_table(s, d, out);
	return s->by_key ? end_keys(s) : end_blocks(s);
}

int
snapshot_read(struct snapshot *s, struct decode *d, struct buf *out, size_t max)
{
	if (s->copying)
		return copy_rows(s, d, out, max);
	if (clock_ms() < s->retry_at)
		return EXIT_DONE;
	if (s->part || s->by_key)
		return begin_reading(s, d, out);
	if (s->state.step == SNAPSHOT_KEYS && s->state.keys.len > 0 &&
	    !s->renewal) {
		begin_keys(s);
		return EXIT_DONE;
	}
	end_reading(s, 0);
	if (s->renewal)
		return EXIT_DONE;
	if (s->state.step == SNAPSHOT_KEYS)
		s->state.step = SNAPSHOT_END;
	else if (s->state.step == SNAPSHOT_END) {
		if (s->state.table.len > 0)
			add_table_mark(s, d, out, "end", NULL);
		return advance(s, d, out);
	}
	return EXIT_DONE;
}
