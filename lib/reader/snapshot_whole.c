/*
 * A table that no key names the rows of: a row that is READ twice would be two
 * rows.  So it is read at once, and exactly as it was at its marker.  Its
 * database snapshot is taken first, and the marker is written then.  If nobody
 * whom that snapshot does not show has changed the table by the time that the
 * marker comes back, the snapshot is the table at the marker.  Else all of it
 * is tried again.
 */
#include "base/clock.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "reader/snapshot_steps.h"

#define TRIES    20
#define ARMED_MS 10000 /* for the marker to come back */

static const char doing[] = "lock a table for its snapshot";

struct chunk_part
snapshot_whole_part(const struct snapshot *s, const struct snapshot_table *t)
{
	return (struct chunk_part){
	    .publication = s->o.publication, .table = &t->name};
}

static struct snapshot_table *
first(struct snapshot *s)
{
	for (size_t i = 0; i < s->state.n; i++) {
		struct snapshot_table *t = &s->state.tables[i];

		if (t->step == SNAPSHOT_READ && t->whole)
			return t;
	}
	return NULL;
}

const struct snapshot_name *
snapshot_watched(const struct snapshot *s)
{
	if (s->armed_until == 0)
		return NULL;
	for (size_t i = 0; i < s->state.n; i++)
		if (s->state.tables[i].armed)
			return &s->state.tables[i].name;
	return NULL;
}

void
snapshot_touched(struct snapshot *s, uint32_t xid)
{
	s->spoiled |= !visible_is(xid, s->chunk.snapshot);
}

int
snapshot_whole_disarm(struct snapshot *s)
{
	if (s->armed_until == 0)
		return EXIT_DONE;
	s->armed_until = 0;
	for (size_t i = 0; i < s->state.n; i++)
		s->state.tables[i].armed = false;
	return chunk_end(&s->chunk);
}

/* SHARE lets nobody change the table; who did so before is visible once it is
 * granted.  *locked: it was. */
static int
lock_table(struct snapshot *s, const struct snapshot_table *t, bool *locked)
{
	struct buf sql = BUF_INIT;
	PGresult *res = NULL;
	int rc;

	buf_adds(&sql, "BEGIN; SET LOCAL lock_timeout = '200ms'; LOCK TABLE ");
	pg_add_identifier(&s->marker, &sql, buf_view(&t->name.schema));
	buf_addc(&sql, '.');
	pg_add_identifier(&s->marker, &sql, buf_view(&t->name.table));
	buf_adds(&sql, " IN SHARE MODE");
	if (buf_str(&sql) == NULL) {
		buf_release(&sql);
		return snapshot_no_memory();
	}
	s->marker.expected = "55P03";
	rc = pg_query(&s->marker, doing, sql.data, 0, NULL, &res);
	s->marker.expected = NULL;
	*locked = rc == EXIT_DONE;
	if (!*locked && PQresultErrorField(res, PG_DIAG_SQLSTATE) != NULL)
		rc = pg_query(&s->marker, doing, "ROLLBACK", 0, NULL, NULL);
	PQclear(res);
	buf_release(&sql);
	return rc;
}

int
snapshot_whole_arm(struct snapshot *s, bool *locked)
{
	struct snapshot_table *t = first(s);
	enum chunk_outcome outcome;
	struct chunk_part p;
	int rc = EXIT_DONE;

	*locked = false;
	if (t == NULL || s->state.cancelled)
		return EXIT_DONE;
	if (s->o.lock && t->tries >= TRIES)
		rc = lock_table(s, t, locked);
	if (rc != EXIT_DONE)
		return rc;
	p = snapshot_whole_part(s, t);
	rc = chunk_begin(&s->chunk, &p, &outcome);
	if (rc != EXIT_DONE || outcome != CHUNK_OK)
		return rc; /* the marker finds out why */
	s->spoiled = false;
	s->armed_until = clock_ms() + ARMED_MS;
	t->armed = true;
	return visible_all(&s->streamed, s->chunk.snapshot)
	    ? EXIT_DONE
	    : snapshot_whole_disarm(s);
}

int
snapshot_whole_ready(struct snapshot *s, struct snapshot_table *t, bool *ready,
    const char **reason)
{
	*reason = NULL;
	*ready = !s->spoiled;
	s->armed_until = 0;
	t->armed = false;
	if (*ready)
		return EXIT_DONE;
	t->tries++;
	if (t->tries > TRIES + (s->o.lock ? TRIES : 0))
		*reason = "it has no key, and is changed all the time";
	return chunk_end(&s->chunk);
}
