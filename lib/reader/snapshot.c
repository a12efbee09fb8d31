#include "reader/snapshot_steps.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/json_write.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/num.h"
#include "reader/source.h"
#include "sql.h"
#include "stream/tablelist.h"

#ifndef FIRST_BLOCKS
#define FIRST_BLOCKS 64
#endif
#define UNKNOWN_MS  1000 /* for those streamed before we kept count */
#define RENEW_MS    10000
#define RENEW_BYTES ((uint64_t)16 << 20)
#define RENEW_KEYS  1000

static const char doing[] = "write a marker of the snapshot";

int
snapshot_init(
    struct snapshot *s, const struct snapshot_options *o, uint64_t history)
{
	uint64_t random;

	s->o = *o;
	s->history = history;
	s->hold = UINT64_MAX;
	s->blocks = FIRST_BLOCKS;
	if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
		log_error("could not start reading: no random number");
		return EXIT_OS;
	}
	snprintf(s->run, sizeof(s->run), "%016" PRIx64, random);
	return EXIT_DONE;
}

void
snapshot_close(struct snapshot *s)
{
	chunk_close(&s->chunk);
	PQclear(s->answer);
	pg_close(&s->marker);
	snapshot_state_release(&s->state);
	buf_release(&s->pending);
	visible_release(&s->streamed);
	*s = (struct snapshot){0};
}

static int
no_memory(void)
{
	log_error("could not take a snapshot: out of memory");
	return EXIT_OS;
}

/* What the slot may confirm */

static struct snapshot_hold *
newest_hold(struct snapshot *s)
{
	return &s->holds[(s->first_hold + s->nholds - 1) % SNAPSHOT_HOLDS];
}

/* Once the marker that ends at `end` is acknowledged, WAL is needed from `begin`
 * on. */
static void
add_hold(struct snapshot *s, uint64_t end, uint64_t begin)
{
	if (!s->o.acked)
		return;
	s->nholds++;
	*newest_hold(s) = (struct snapshot_hold){end, begin};
}

uint64_t
snapshot_confirm(struct snapshot *s, uint64_t durable)
{
	while (s->nholds > 0 && s->holds[s->first_hold].end <= durable) {
		s->hold = s->holds[s->first_hold].begin;
		s->first_hold = (s->first_hold + 1) % SNAPSHOT_HOLDS;
		s->nholds--;
	}
	return durable < s->hold ? durable : s->hold;
}

/* Keeps the WAL of a request that no marker carries yet. */
static void
need_from(struct snapshot *s, uint64_t commit_lsn)
{
	if (s->nholds > 0) {
		if (newest_hold(s)->begin == UINT64_MAX)
			newest_hold(s)->begin = commit_lsn;
	} else if (s->hold == UINT64_MAX) {
		s->hold = commit_lsn;
	}
}

/* Rows to read again by their keys (rule 4) */

static bool
is_at_hand(const struct snapshot *s, const struct relation *r)
{
	struct buf name = s->state.table; /* ends with a NUL byte */
	struct table_list list;
	const char *ignored;
	bool is = table_list_parse(&list, buf_str(&name), &ignored) &&
	    list.n == 1 && view_eq(list.names[0].schema, r->schema_name) &&
	    view_eq(list.names[0].table, r->table_name);

	table_list_release(&list);
	return is;
}

void
snapshot_unchanged(
    struct snapshot *s, const struct relation *r, const struct tuple *t)
{
	struct buf *keys = &s->state.keys;
	bool first = true;

	if (!s->active || s->state.table.len == 0 ||
	    s->state.step == SNAPSHOT_END || !SNAPSHOT_RULE(4) ||
	    !is_at_hand(s, r))
		return;
	buf_adds(keys, keys->len > 0 ? ",[" : "[");
	for (size_t i = 0; i < t->n; i++) {
		if (!r->columns[i].key || t->fields[i].kind != 't')
			continue;
		buf_adds(keys, first ? "" : ",");
		json_write_string(keys, t->fields[i].text);
		first = false;
	}
	buf_addc(keys, ']');
	s->nkeys++;
}

/* Messages */

static void
begin_tracking(struct snapshot *s)
{
	if (s->active)
		return;
	s->active = true;
	s->streamed.n = 0;
	s->since = clock_ms();
	s->next_at = 0;
}

static int
on_request(
    struct snapshot *s, const struct snapshot_message *m, uint64_t commit_lsn)
{
	struct view id = m->id.p != NULL ? m->id
					 : view_of(lsn_text(commit_lsn).s);

	if (s->o.off) {
		log_info("a snapshot was asked for, and is left");
		return EXIT_DONE;
	}
	begin_tracking(s);
	need_from(s, commit_lsn);
	s->seen = commit_lsn;
	if (s->unrecorded == 0)
		s->unrecorded = commit_lsn;
	return snapshot_state_add(&s->state, id, m->tables) ? EXIT_DONE
							    : no_memory();
}

/*
 * Adopts the state of a reader that ended, from its first marker that the slot
 * still sends.  Requests that came before this marker and are not in it are
 * queued after those that are.
 */
static int
resume(struct snapshot *s, struct snapshot_state *from, uint64_t seen,
    uint64_t commit_lsn)
{
	struct snapshot_state late = s->state;

	s->resumed = true;
	s->state = *from;
	*from = (struct snapshot_state){0};
	if (s->unrecorded > seen) {
		if (s->state.queue.len > 0 && late.queue.len > 0)
			buf_addc(&s->state.queue, ',');
		buf_addv(&s->state.queue, buf_view(&late.queue));
	} else {
		s->unrecorded = 0;
		s->hold = commit_lsn;
	}
	snapshot_state_release(&late);
	begin_tracking(s);
	need_from(s, commit_lsn);
	log_info("going on with snapshot \"%.*s\" at %s",
	    VIEW_FMT(buf_view(&s->state.id)), lsn_text(commit_lsn).s);
	return EXIT_DONE;
}

static int
on_marker(struct snapshot *s, const struct snapshot_message *m,
    struct snapshot_state *state, struct view content, uint64_t commit_lsn)
{
	if (view_eq(m->run, view_of(s->run))) {
		if (s->pending.len == 0 ||
		    !view_eq(content, buf_view(&s->pending))) {
			log_info("ignored a marker at %s that nobody wrote",
			    lsn_text(commit_lsn).s);
			return EXIT_DONE;
		}
		s->reading = true;
		s->copying = s->by_key = false;
		s->rows = 0;
		s->retry_at = 0;
		s->reading_since = clock_ms();
		return EXIT_DONE;
	}
	if (commit_lsn >= s->history || (s->resumed && SNAPSHOT_RULE(7)))
		return EXIT_DONE;
	return resume(s, state, m->seen, commit_lsn);
}

static void
on_command(struct snapshot *s, enum snapshot_kind kind)
{
	if (kind == SNAPSHOT_CANCEL) {
		buf_clear(&s->state.queue);
		buf_clear(&s->state.tables);
		buf_adds(&s->state.tables, "[]");
		buf_clear(&s->state.table);
		s->state.step = SNAPSHOT_END;
	}
	s->state.paused = kind == SNAPSHOT_PAUSE;
	s->next_at = 0;
}

int
snapshot_message(struct snapshot *s, struct view content, uint64_t commit_lsn)
{
	struct snapshot_state state = {0};
	struct snapshot_message m;
	int rc = EXIT_DONE;

	if (!snapshot_message_read(content, &m, &state))
		rc = no_memory();
	else if (m.kind == SNAPSHOT_BAD)
		log_warning("ignored a snapshot message at %s: %s",
		    lsn_text(commit_lsn).s, m.reason);
	else if (m.slot.p != NULL && !view_eq(m.slot, view_of(s->o.slot)))
		rc = EXIT_DONE;
	else if (m.kind == SNAPSHOT_MARKER)
		rc = on_marker(s, &m, &state, content, commit_lsn);
	else if (m.kind == SNAPSHOT_REQUEST)
		rc = on_request(s, &m, commit_lsn);
	else if (s->active)
		on_command(s, m.kind);
	snapshot_state_release(&state);
	return rc;
}

/*
 * A marker's transaction ends.  Once it is acknowledged, WAL is needed from the
 * marker before on: the source has that one on its disk, and with it all that
 * its rows showed.  A request that is in no marker is needed, too.
 */
static void
end_marker(struct snapshot *s, uint64_t commit_lsn, uint64_t end)
{
	uint64_t begin = s->previous != 0 ? s->previous : s->hold;

	if (!SNAPSHOT_RULE(6))
		begin = commit_lsn;
	if (!s->active)
		begin = UINT64_MAX;
	if (s->unrecorded != 0 && s->unrecorded < begin)
		begin = s->unrecorded;
	add_hold(s, end, begin);
	s->previous = s->active ? commit_lsn : 0;
	buf_clear(&s->pending);
	s->reading_since = 0;
}

int
snapshot_commit(
    struct snapshot *s, uint32_t xid, uint64_t commit_lsn, uint64_t end)
{
	if (!s->active && s->pending.len == 0)
		return EXIT_DONE;
	if (!visible_add(&s->streamed, xid))
		return no_memory();
	if (s->pending.len > 0 && s->reading_since > 0)
		end_marker(s, commit_lsn, end);
	return EXIT_DONE;
}
/* Markers */

static int
open_marker(struct snapshot *s)
{
	int rc = EXIT_DONE;

	if (s->marker.conn != NULL)
		return rc;
	rc = source_connect(&s->marker, s->o.conninfo);
	if (rc == EXIT_DONE)
		rc = chunk_open(&s->chunk, s->o.conninfo);
	return rc;
}

static int
write_marker(struct snapshot *s, bool renewal, uint64_t complete)
{
	const char *params[1];

	s->renewal = renewal;
	s->part = !renewal && s->state.step == SNAPSHOT_READ;
	s->renew_at = clock_ms() + RENEW_MS;
	s->renew_lsn = complete + RENEW_BYTES;
	s->state.to = s->state.from + s->blocks;
	buf_clear(&s->pending);
	snapshot_state_write(&s->pending, &s->state, s->run, s->o.slot, s->seen,
	    s->part, renewal);
	s->unrecorded = 0;
	params[0] = buf_str(&s->pending);
	if (params[0] == NULL)
		return no_memory();
	if (PQsendQueryParams(s->marker.conn, SQL_SNAPSHOT_MARKER, 1, NULL,
		params, NULL, NULL, 0) == 0)
		return pg_failed(&s->marker, doing, NULL);
	s->asked = true;
	pg_await(&s->marker);
	return EXIT_DONE;
}

/* Makes sure that a request and a table are at hand. */
static int
prepare(struct snapshot *s)
{
	int rc = open_marker(s);

	if (rc != EXIT_DONE || s->state.id.len > 0)
		return rc;
	snapshot_state_pop(&s->state);
	return snapshot_choose(s);
}

static int
hear_marker(struct snapshot *s)
{
	bool done;
	int rc;

	if (!s->asked)
		return EXIT_DONE;
	if (PQconsumeInput(s->marker.conn) == 0)
		return pg_failed(&s->marker, doing, NULL);
	rc = pg_collect(&s->marker, doing, &s->answer, &done);
	if (pg_is_state(s->answer, "42501"))
		log_hint("The role needs EXECUTE on the function "
			 "pg_logical_emit_message.");
	if (done) {
		PQclear(s->answer);
		s->answer = NULL;
		s->asked = false;
	}
	return rc;
}

/* Is a marker to be written?  *renewal: one that only carries the state on, so
 * that the slot does not keep WAL while nothing can be read. */
static bool
may_write(const struct snapshot *s, uint64_t complete, bool *renewal)
{
	int64_t now = clock_ms();

	*renewal = false;
	if (!s->active || s->pending.len > 0 || s->asked ||
	    complete < s->history || s->nholds == SNAPSHOT_HOLDS ||
	    now < s->since + UNKNOWN_MS)
		return false;
	if (!s->state.paused && now >= s->next_at)
		return true;
	*renewal = SNAPSHOT_RULE(9) && s->previous != 0 &&
	    s->nkeys <= RENEW_KEYS &&
	    (now >= s->renew_at || complete >= s->renew_lsn);
	return *renewal;
}

/* Closes both sessions when no snapshot is under way. */
static void
close_sessions(struct snapshot *s)
{
	if (s->marker.conn == NULL || s->active || s->asked ||
	    s->pending.len > 0)
		return;
	pg_close(&s->marker);
	chunk_close(&s->chunk);
}

int
snapshot_work(struct snapshot *s, struct decode *d, struct buf *out,
    size_t out_max, uint64_t complete)
{
	bool renewal;
	int rc = hear_marker(s);

	if (rc == EXIT_DONE && s->reading)
		return snapshot_read(s, d, out, out_max);
	close_sessions(s);
	if (rc != EXIT_DONE || !may_write(s, complete, &renewal))
		return rc;
	rc = prepare(s);
	if (rc == EXIT_DONE)
		rc = write_marker(s, renewal, complete);
	return rc;
}

int
snapshot_marker_fd(const struct snapshot *s)
{
	return s->asked ? PQsocket(s->marker.conn) : -1;
}

int
snapshot_chunk_fd(const struct snapshot *s)
{
	return s->copying ? PQsocket(s->chunk.pg.conn) : -1;
}

int64_t
snapshot_due_at(const struct snapshot *s)
{
	int64_t at = INT64_MAX;

	if (s->reading && !s->copying)
		return s->retry_at;
	if (s->reading)
		return pg_due_at(&s->chunk.pg);
	if (s->asked)
		return INT64_MAX;
	if (s->active && s->pending.len == 0 && s->nholds < SNAPSHOT_HOLDS) {
		at = s->state.paused ? INT64_MAX : s->next_at;
		if (s->previous != 0)
			at = clock_earlier(at, s->renew_at);
		if (at < s->since + UNKNOWN_MS)
			at = s->since + UNKNOWN_MS;
	}
	return at;
}
