#include "emitter.h"

#include <stdio.h>

#include "event_json.h"
#include "exitcode.h"
#include "heartbeat.h"
#include "log.h"
#include "lsn.h"

#define HEX_BYTES 16

int
emitter_init(struct emitter *e)
{
	e->decoder = pgoutput_new();
	if (e->decoder != NULL && !e->source_id.failed)
		return EXIT_DONE;
	log_error("could not start reading: out of memory");
	return EXIT_OS;
}

void
emitter_release(struct emitter *e)
{
	pgoutput_free(e->decoder);
	PQclear(e->left_out);
	buf_release(&e->source_id);
}

static int
refuse(const struct emitter *e, const struct replstream_message *m)
{
	char hex[2 * HEX_BYTES + 1] = "";

	for (size_t i = 0; i < m->data.n && i < HEX_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x",
		    (unsigned)(unsigned char)m->data.p[i]);
	log_error("could not decode the message at %s: %s (it begins %s)",
	    lsn_text(m->lsn).s, pgoutput_reason(e->decoder), hex);
	return EXIT_PROTOCOL;
}

static bool
is_wanted(const struct emitter *e, const struct event *event)
{
	/* a message belongs to no table */
	if (event->key_columns.p == NULL)
		return e->messages && !heartbeat_is(event->after_data);
	for (int i = 0; i < PQntuples(e->left_out); i++) {
		if (view_eq(pg_value(e->left_out, i, 1), event->table_name) &&
		    view_eq(pg_value(e->left_out, i, 0), event->schema_name))
			return false;
	}
	return true;
}

int
emitter_take(struct emitter *e, const struct replstream_message *m,
    struct buf *out, uint64_t *commit_end)
{
	enum pgoutput_status status;
	struct event event;

	*commit_end = 0;
	pgoutput_feed(e->decoder, m->data, m->lsn, m->time);
	while ((status = pgoutput_next(e->decoder, &event)) == PGOUTPUT_EVENT) {
		if (!is_wanted(e, &event))
			continue;
		event.source_id = buf_view(&e->source_id);
		event_json_put(out, &event);
	}
	if (status == PGOUTPUT_BAD)
		return refuse(e, m);
	if (status == PGOUTPUT_COMMIT)
		*commit_end = pgoutput_commit_end(e->decoder);
	return EXIT_DONE;
}
