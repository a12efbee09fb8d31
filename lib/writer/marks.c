#include "writer/marks.h"

#include "base/clock.h"
#include "base/json_write.h"
#include "base/lsn.h"

#define DATA_BYTES ((size_t)16 * 1024) /* a larger after_data is no mark */
#define MANY_BYTES ((size_t)1 << 20)

void
marks_take(struct marks *m, const struct event *e)
{
	struct buf *b = &m->json;

	if (!view_eq(e->operation, VIEW_LIT("SNAPSHOT")) ||
	    e->after_data.p == NULL || e->after_data.n > DATA_BYTES)
		return;
	buf_adds(b, "{\"schema\":");
	json_write_string(b, e->schema_name);
	buf_adds(b, ",\"table\":");
	json_write_string(b, e->table_name);
	if (e->seq != 0)
		buf_addf(b, ",\"lsn\":\"%s\"", lsn_text(e->commit_lsn).s);
	buf_adds(b, ",\"at\":\"");
	clock_format_pg(b, e->event_time);
	buf_adds(b, "\",\"data\":");
	buf_addv(b, e->after_data);
	buf_adds(b, "},");
}

void
marks_boundary(struct marks *m)
{
	m->complete = m->json.len;
}

void
marks_drop(struct marks *m)
{
	m->json.len = m->complete;
}

bool
marks_are_many(const struct marks *m)
{
	return m->complete >= MANY_BYTES;
}

void
marks_move(struct marks *m, struct buf *to)
{
	if (m->complete == 0)
		return;
	buf_addc(to, '[');
	buf_add(to, m->json.data, m->complete - 1);
	buf_addc(to, ']');
	buf_consume(&m->json, m->complete);
	m->complete = 0;
}

void
marks_release(struct marks *m)
{
	buf_release(&m->json);
}
