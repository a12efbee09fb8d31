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
#include "reader/waiting.h"
#include "sql.h"

#ifndef FIRST_BLOCKS
#define FIRST_BLOCKS 64
#endif
#define UNKNOWN_MS 1000 /* for those streamed before we kept count */
#ifndef RENEW_MS
#define RENEW_MS 10000
#endif
#define PUT_OFF_MS  10000
#define RENEW_BYTES ((uint64_t)16 << 20)

static const char doing[] = "write a marker of the snapshot";

int
snapshot_init(
    struct snapshot *s, const struct snapshot_options *o, uint64_t history)
{
	uint64_t random;

	s->o = *o;
	s->history = history;
	s->hold.hold = UINT64_MAX;
	s->blocks = FIRST_BLOCKS;
	if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
		log_error("could not start reading: no random number");
		return EXIT_OS;
	}
	snprintf(s->run, sizeof(s->run), "%016" PRIx64, random);
	return snapshot_key_read(&s->secret, o->key_file);
}

void
snapshot_close(struct snapshot *s)
{
	chunk_close(&s->chunk);
	PQclear(s->answer);
	pg_close(&s->marker);
	snapshot_key_release(&s->secret);
	snapshot_state_release(&s->state);
	buf_release(&s->pending);
	buf_release(&s->key);
	buf_release(&s->keys);
	visible_release(&s->streamed);
	*s = (struct snapshot){0};
}

int
snapshot_no_memory(void)
{
	log_error("could not take a snapshot: out of memory");
	return EXIT_OS;
}

/*
 * What is behind a part waits until that is stored.  So a part takes until its
 * ack, but for the time that any ack takes.
 */
static void
time_ack(struct snapshot *s)
{
	int64_t now = clock_ms(), took = now - s->timed.read + 1;

	s->lag = took;
	if (s->fastest == 0 || took < s->fastest)
		s->fastest = took;
	snapshot_adapt(
	    s, s->timed.blocks, now - s->timed.since - s->fastest + 1);
	s->timed.end = 0;
	s->behind = false;
}

uint64_t
snapshot_confirm(struct snapshot *s, uint64_t durable)
{
	if (s->timed.end != 0 && durable >= s->timed.end)
		time_ack(s);
	return snapshot_hold_confirm(&s->hold, durable);
}

/* Rows to read again by their keys (rule 4) */

int
snapshot_unchanged(struct snapshot *s, const struct relation *r,
    const struct tuple *t, bool rekeyed)
{
	struct snapshot_table *at = snapshot_state_find(
	    &s->state, r->schema_name, r->table_name);
	const char *comma = "";
	int rc;

	if (at == NULL || at->whole || !SNAPSHOT_RULE(4) ||
	    (at->step == SNAPSHOT_END && !(rekeyed && SNAPSHOT_RULE(10))))
		return EXIT_DONE;
	buf_clear(&s->key);
	buf_addc(&s->key, '[');
	for (size_t i = 0; i < t->n; i++) {
		if (!r->columns[i].key || t->fields[i].kind != 't')
			continue;
		buf_adds(&s->key, comma);
		json_write_string(&s->key, t->fields[i].text);
		comma = ",";
	}
	buf_addc(&s->key, ']');
	rc = keyspool_add(&at->keys, buf_view(&s->key));
	return s->key.failed ? snapshot_no_memory() : rc;
}

/* Messages */

static void
begin_tracking(struct snapshot *s)
{
	if (s->active)
		return;
	s->active = true;
	s->streamed.n = 0;
	s->unasked = true;
	s->since = clock_ms();
	s->next_at = 0;
}

static int
on_request(struct snapshot *s, struct snapshot_wish *w, uint64_t commit_lsn)
{
	if (s->o.off) {
		log_info("a snapshot was asked for, and is left");
		return EXIT_DONE;
	}
	if (s->state.nqueue >= SNAPSHOT_WISHES) {
		log_warning("ignored a request for a snapshot at %s: too many "
			    "wait",
		    lsn_text(commit_lsn).s);
		return EXIT_DONE;
	}
	if (w->id.len == 0)
		buf_adds(&w->id, lsn_text(commit_lsn).s);
	begin_tracking(s);
	snapshot_hold_from(&s->hold, commit_lsn);
	s->seen = commit_lsn;
	if (s->unrecorded == 0)
		s->unrecorded = commit_lsn;
	return snapshot_state_add(&s->state, w) ? EXIT_DONE
						: snapshot_no_memory();
}

/*
 * Adopts the state of a reader that ended, from its first marker that the slot
 * still sends.  Requests that came before this marker and are not in it are
 * queued after those that are.
 */
static int
resume(struct snapshot *s, struct snapshot_message *m, uint64_t commit_lsn)
{
	struct snapshot_state late = s->state;
	bool good = true;

	s->resumed = true;
	s->state = m->state;
	m->state = (struct snapshot_state){0};
	if (s->unrecorded > m->seen) {
		for (size_t i = 0; i < late.nqueue; i++)
			good &= snapshot_state_add(&s->state, &late.queue[i]);
	} else {
		s->unrecorded = 0;
		s->hold.hold = commit_lsn;
	}
	snapshot_state_release(&late);
	begin_tracking(s);
	snapshot_hold_from(&s->hold, commit_lsn);
	log_info("going on with snapshot \"%.*s\" at %s",
	    VIEW_FMT(buf_view(&s->state.wish.id)), lsn_text(commit_lsn).s);
	return good ? EXIT_DONE : snapshot_no_memory();
}

/* The marker that we wrote has come back. */
static int
begin_reading(struct snapshot *s)
{
	s->reading = true;
	s->copying = s->by_key = s->progress = false;
	s->left = s->state.n;
	for (size_t i = 0; i < s->state.n; i++)
		if (s->state.tables[i].armed)
			s->turn = i; /* its transaction comes first */
	s->blocks_read = 0;
	s->retry_at = 0;
	s->reading_since = clock_ms();
	return EXIT_DONE;
}

static int
on_marker(struct snapshot *s, struct snapshot_message *m, struct view content,
    uint64_t commit_lsn)
{
	if (!view_eq(m->run, view_of(s->run))) {
		if (commit_lsn >= s->history ||
		    (s->resumed && SNAPSHOT_RULE(7)))
			return EXIT_DONE;
		return resume(s, m, commit_lsn);
	}
	if (s->pending.len > 0 && view_eq(content, buf_view(&s->pending)))
		return begin_reading(s);
	log_info(
	    "ignored a marker at %s that nobody wrote", lsn_text(commit_lsn).s);
	return EXIT_DONE;
}

static void
on_command(struct snapshot *s, enum snapshot_kind kind)
{
	if (kind == SNAPSHOT_CANCEL)
		snapshot_state_cancel(&s->state);
	s->state.paused = kind == SNAPSHOT_PAUSE;
	s->next_at = 0;
}

int
snapshot_message(struct snapshot *s, struct view content, uint64_t commit_lsn)
{
	struct snapshot_message m;
	int rc = EXIT_DONE;

	if (!snapshot_message_read(content, &m))
		rc = snapshot_no_memory();
	else if (m.kind == SNAPSHOT_BAD)
		log_warning("ignored a snapshot message at %s: %s",
		    lsn_text(commit_lsn).s, m.reason);
	else if (m.slot.p != NULL && !view_eq(m.slot, view_of(s->o.slot)))
		rc = EXIT_DONE;
	else if (!snapshot_sealed(&s->secret, content))
		log_warning("ignored a snapshot message at %s: it does not "
			    "have the seal of \"%s\"",
		    lsn_text(commit_lsn).s, s->o.key_file);
	else if (m.kind == SNAPSHOT_MARKER)
		rc = on_marker(s, &m, content, commit_lsn);
	else if (m.kind == SNAPSHOT_REQUEST)
		rc = on_request(s, &m.wish, commit_lsn);
	else if (s->active)
		on_command(s, m.kind);
	snapshot_message_release(&m);
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
	uint64_t begin = s->previous != 0 ? s->previous : s->hold.hold;

	if (!s->active || !SNAPSHOT_RULE(6))
		begin = UINT64_MAX;
	if (s->unrecorded != 0 && s->unrecorded < begin)
		begin = s->unrecorded;
	if (s->o.acked)
		snapshot_hold_add(&s->hold, end, begin);
	s->behind |= s->timed.end != 0 && s->blocks_read > 0;
	if (s->o.acked && s->timed.end == 0 && s->blocks_read > 0) {
		s->timed.end = end;
		s->timed.since = s->reading_since;
		s->timed.read = clock_ms();
		s->timed.blocks = s->blocks_read;
	}
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
		return snapshot_no_memory();
	if (s->pending.len > 0 && s->reading_since > 0)
		end_marker(s, commit_lsn, end);
	return EXIT_DONE;
}

/* Markers */

static int
open_sessions(struct snapshot *s)
{
	int rc = EXIT_DONE;

	if (s->marker.conn == NULL)
		rc = source_connect(&s->marker, s->o.conninfo);
	if (rc == EXIT_DONE)
		rc = chunk_open(&s->chunk, s->o.conninfo, s->o.workers);
	if (rc != EXIT_DONE)
		pg_close(&s->marker);
	return rc;
}

/* A source that has no room for more sessions still has the stream. */
static int
put_off(struct snapshot *s, int rc)
{
	if (rc != EXIT_RETRY)
		return rc;
	log_warning("the snapshot is put off");
	s->next_at = s->renew_at = clock_ms() + PUT_OFF_MS;
	return EXIT_DONE;
}

/* Makes sure that a request and tables are at hand. */
static int
prepare(struct snapshot *s)
{
	int rc = EXIT_DONE;

	if (s->unasked)
		rc = waiting_add(&s->marker, &s->streamed);
	if (rc == EXIT_DONE)
		s->unasked = false;
	if (rc != EXIT_DONE || s->state.wish.id.len > 0)
		return rc;
	snapshot_state_pop(&s->state);
	return snapshot_choose(s);
}

/* The table is locked by the marker's own transaction until it is committed. */
static int
commit_locked(struct snapshot *s, const char *const *params)
{
	int rc = pg_query(
	    &s->marker, doing, SQL_SNAPSHOT_MARKER, 1, params, NULL);

	if (rc == EXIT_DONE)
		rc = pg_query(&s->marker, doing, "COMMIT", 0, NULL, NULL);
	return rc;
}

static int
send_marker(struct snapshot *s, bool locked)
{
	const char *params[] = {buf_str(&s->pending)};

	if (params[0] == NULL)
		return snapshot_no_memory();
	if (locked)
		return commit_locked(s, params);
	if (PQsendQueryParams(s->marker.conn, SQL_SNAPSHOT_MARKER, 1, NULL,
		params, NULL, NULL, 0) == 0)
		return pg_failed(&s->marker, doing, NULL);
	s->asked = true;
	pg_await(&s->marker);
	return EXIT_DONE;
}

static int
write_marker(struct snapshot *s, uint64_t complete)
{
	bool locked = false;
	int rc = EXIT_DONE;

	s->renew_at = clock_ms() + RENEW_MS;
	s->renew_lsn = complete + RENEW_BYTES;
	if (!s->renewal)
		rc = snapshot_whole_arm(s, &locked);
	for (size_t i = 0; i < s->state.n; i++)
		s->state.tables[i].to = s->state.tables[i].from + s->blocks;
	buf_clear(&s->pending);
	snapshot_marker_write(
	    &s->pending, &s->state, s->run, s->o.slot, s->seen, s->renewal);
	snapshot_seal(&s->secret, &s->pending);
	s->unrecorded = 0;
	return rc == EXIT_DONE ? send_marker(s, locked) : rc;
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
		s->asked = s->flushing = false;
	}
	return rc;
}

static uint64_t
keys_at_hand(const struct snapshot *s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s->state.n; i++)
		n += keyspool_count(&s->state.tables[i].keys);
	return n;
}

/* Is a marker to be written?  A renewal only carries the state on, so that the
 * slot does not keep WAL while nothing can be read. */
static bool
may_write(struct snapshot *s, uint64_t complete)
{
	int64_t now = clock_ms();

	if (!s->active || s->pending.len > 0 || s->asked ||
	    complete < s->history || snapshot_hold_full(&s->hold) ||
	    now < s->since + UNKNOWN_MS)
		return false;
	s->renewal = s->state.paused || s->behind || now < s->next_at;
	if (!s->renewal)
		return true;
	return SNAPSHOT_RULE(9) && s->previous != 0 &&
	    keys_at_hand(s) <= KEYSPOOL_BATCH &&
	    (now >= s->renew_at || complete >= s->renew_lsn);
}

/* Closes the sessions when no snapshot is under way. */
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
	int rc = hear_marker(s);

	if (rc == EXIT_DONE && s->reading)
		return snapshot_read(s, d, out, out_max);
	if (rc == EXIT_DONE && clock_ms() >= s->armed_until)
		rc = snapshot_whole_disarm(s);
	close_sessions(s);
	if (rc != EXIT_DONE || !may_write(s, complete))
		return rc;
	rc = open_sessions(s);
	if (rc != EXIT_DONE)
		return put_off(s, rc);
	rc = prepare(s);
	return rc == EXIT_DONE ? write_marker(s, complete) : rc;
}

int
snapshot_marker_fd(const struct snapshot *s)
{
	return s->asked ? PQsocket(s->marker.conn) : -1;
}

size_t
snapshot_poll(const struct snapshot *s, struct pollfd *p)
{
	return s->copying ? chunk_poll(&s->chunk, p) : 0;
}

int64_t
snapshot_due_at(const struct snapshot *s)
{
	int64_t at = s->armed_until > 0 ? s->armed_until : INT64_MAX;

	if (s->reading && s->copying)
		return chunk_due_at(&s->chunk);
	if (s->reading && !s->flushing)
		return s->retry_at;
	if (s->asked || !s->active || s->pending.len > 0 ||
	    snapshot_hold_full(&s->hold))
		return at;
	if (!s->state.paused && !s->behind)
		at = clock_earlier(at, s->next_at);
	if (s->previous != 0)
		at = clock_earlier(at, s->renew_at);
	return at < s->since + UNKNOWN_MS ? s->since + UNKNOWN_MS : at;
}
