#include "reader/decode.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/exitcode.h"
#include "base/log.h"
#include "base/lsn.h"
#include "reader/copytext.h"
#include "reader/heartbeat.h"
#include "reader/snapshot_message.h"
#include "stream/event_write.h"

#define HEX_BYTES 16

/* Compares like strcmp; the texts may contain NUL bytes. */
static int
view_order(struct view a, struct view b)
{
	int by_bytes = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

	return by_bytes != 0 ? by_bytes : (a.n > b.n) - (a.n < b.n);
}

static int
table_order(const void *left, const void *right)
{
	const struct table_name *a = left, *b = right;
	int by_table = view_order(a->table, b->table);

	return by_table != 0 ? by_table : view_order(a->schema, b->schema);
}

static bool
is_left_out(const void *arg, struct view schema, struct view table)
{
	const struct decode *e = arg;
	const struct table_name name = {schema, table};

	return bsearch(&name, e->sorted, (size_t)PQntuples(e->left_out),
		   sizeof(name), table_order) != NULL;
}

static bool
sort_left_out(struct decode *e)
{
	size_t n = (size_t)PQntuples(e->left_out);

	e->sorted = calloc(n + 1, sizeof(*e->sorted));
	if (e->sorted == NULL)
		return false;
	for (size_t i = 0; i < n; i++)
		e->sorted[i] = (struct table_name){
		    pg_value(e->left_out, (int)i, 0),
		    pg_value(e->left_out, (int)i, 1)};
	qsort(e->sorted, n, sizeof(*e->sorted), table_order);
	return true;
}

int
decode_init(struct decode *e)
{
	e->decoder = pgoutput_new();
	if (e->decoder != NULL && sort_left_out(e) && !e->source_id.failed) {
		pgoutput_leave_out(e->decoder, is_left_out, e);
		return EXIT_DONE;
	}
	log_error("could not start reading: out of memory");
	return EXIT_OS;
}

void
decode_release(struct decode *e)
{
	pgoutput_free(e->decoder);
	PQclear(e->left_out);
	free(e->sorted);
	buf_release(&e->source_id);
	safe_numbers_release(&e->numbers);
}

static int
refuse(const struct decode *e, const struct walsender_message *m)
{
	char hex[2 * HEX_BYTES + 1] = "";

	for (size_t i = 0; i < m->data.n && i < HEX_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x",
		    (unsigned)(unsigned char)m->data.p[i]);
	log_error("could not decode the message at %s: %s (it begins with %s)",
	    lsn_text(m->lsn).s, pgoutput_reason(e->decoder), hex);
	return EXIT_PROTOCOL;
}

/* Only a logical decoding message has no key columns. */
static bool
is_wanted(const struct decode *e, const struct event *event)
{
	return event->key_columns.p != NULL ||
	    (e->messages && !heartbeat_is(event->after_data));
}

/* A message of the snapshot is a command, never an event. */
static bool
is_snapshot(struct decode *e)
{
	struct view prefix, content;

	if (!pgoutput_message(e->decoder, &prefix, &content) ||
	    !view_eq(prefix, VIEW_LIT(SNAPSHOT_PREFIX)))
		return false;
	e->snapshot = content;
	return true;
}

static int
write_event(struct decode *e, struct event *event, struct buf *out)
{
	event->source_id = buf_view(&e->source_id);
	if (!safe_numbers_apply(&e->numbers, event)) {
		log_error("could not write an event: out of memory");
		return EXIT_OS;
	}
	event_write(out, event);
	return EXIT_DONE;
}

bool
decode_leaves_out(const struct decode *e, struct view schema, struct view table)
{
	return is_left_out(e, schema, table);
}

void
decode_tell(struct decode *e, struct relation *r, struct buf *out)
{
	if (e->schemas != NULL && r != NULL)
		schema_lines_tell(e->schemas, r, buf_view(&e->source_id), out);
}

int
decode_row(struct decode *e, struct relation *r, struct view id, char *row,
    size_t len, struct buf *out)
{
	struct tuple *t = pgoutput_row(e->decoder);
	const char *reason;
	struct event event;

	if (!copytext_read(row, len, r->ncolumns, t, &reason)) {
		log_error("could not read a row of \"%.*s\".\"%.*s\" for the "
			  "snapshot: %s",
		    VIEW_FMT(r->schema_name), VIEW_FMT(r->table_name), reason);
		return EXIT_PROTOCOL;
	}
	if (!pgoutput_read(e->decoder, r, id, &event))
		return EXIT_OS;
	decode_tell(e, r, out);
	return write_event(e, &event, out);
}

void
decode_mark(struct decode *e, struct view schema, struct view table,
    struct view data, struct buf *out)
{
	struct event event;

	pgoutput_mark(e->decoder, schema, table, data, &event);
	event.source_id = buf_view(&e->source_id);
	event_write(out, &event);
}

static bool
is_watched(const struct decode *e, const struct event *event)
{
	return e->watched != NULL &&
	    view_eq(event->table_name, buf_view(&e->watched->table)) &&
	    view_eq(event->schema_name, buf_view(&e->watched->schema));
}

int
decode_take(struct decode *e, const struct walsender_message *m,
    struct buf *out, uint64_t *commit_end)
{
	enum pgoutput_status status;
	struct event event;
	int rc;

	*commit_end = 0;
	e->snapshot = VIEW_NULL;
	e->unchanged = NULL;
	e->touched = false;
	pgoutput_feed(e->decoder, m->data, m->lsn, m->time);
	while ((status = pgoutput_next(e->decoder, &event)) == PGOUTPUT_EVENT) {
		if (is_snapshot(e) || !is_wanted(e, &event))
			continue;
		decode_tell(e, pgoutput_relation(e->decoder), out);
		rc = write_event(e, &event, out);
		if (rc != EXIT_DONE)
			return rc;
		e->touched |= is_watched(e, &event);
		e->unchanged = pgoutput_unchanged(e->decoder, &e->relation);
	}
	if (status == PGOUTPUT_BAD)
		return refuse(e, m);
	if (status == PGOUTPUT_COMMIT)
		*commit_end = pgoutput_commit_end(e->decoder);
	return EXIT_DONE;
}
