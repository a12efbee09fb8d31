/*
 * A line that buffer-write accepts comes out of buffer-batch unchanged:
 *
 *	line → event → row of COPY → event → line → the same event
 *
 * and control lines that are written are read back unchanged.
 */
#include <stdint.h>
#include <stdlib.h>

#include "buffer/copyrow.h"
#include "same.h"
#include "stream/event_read.h"
#include "stream/event_write.h"
#include "json/json_small.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct event_reader reader, again;

static void
add_u64(struct buf *b, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		buf_addc(b, (char)(v >> (56 - 8 * i) & 0xff));
}

/* Appends the row that the server would send after it got this event: with id
 * first and created_at last. */
static void
put_stored(struct buf *b, const struct event *e, uint64_t id)
{
	struct buf row = BUF_INIT;

	copyrow_put(&row, e);
	buf_add(b, "\0\17\0\0\0\10", 6);
	add_u64(b, id);
	buf_add(b, row.data + 2, row.len - 2);
	buf_add(b, "\0\0\0\10", 4);
	add_u64(b, 0);
	buf_release(&row);
}

static void
check_event(const struct event *e)
{
	struct buf row = BUF_INIT, line = BUF_INIT;
	struct stream_line l;
	struct line_error why;
	struct event stored;

	if (e->id != 0 || e->created_at != 0)
		abort();
	put_stored(&row, e, 7);
	if (copyrow_get(buf_view(&row), false, &stored) != COPYROW_EVENT ||
	    stored.id != 7)
		abort();
	event_write(&line, &stored);
	if (memchr(line.data, '\n', line.len) != line.data + line.len - 1)
		abort();
	line.len--;
	if (!event_read(&again, buf_view(&line), &l, &why) ||
	    l.kind != LINE_EVENT || !same_event(&l.event, e))
		abort();
	buf_release(&row);
	buf_release(&line);
}

static void
check_control(const struct stream_line *l)
{
	const struct stream_start *a = &l->start, *b;
	struct buf line = BUF_INIT;
	struct stream_line l2;
	struct line_error why;
	struct json_small history;

	if (l->kind == LINE_START) {
		event_write_start(&line, &l->start);
		if (!json_small_read(&history, l->start.history) ||
		    history.tokens[0].kind != JSON_ARRAY)
			abort();
		json_small_release(&history);
	} else
		event_write_checkpoint(&line, l->ack);
	line.len--;
	if (!event_read(&again, buf_view(&line), &l2, &why) ||
	    l2.kind != l->kind || !view_eq(l2.ack, l->ack))
		abort();
	b = &l2.start;
	if (!view_eq(a->source_id, b->source_id) ||
	    !view_eq(a->system_id, b->system_id) ||
	    !view_eq(a->history, b->history) || !view_eq(a->slot, b->slot) ||
	    a->timeline != b->timeline || a->lsn != b->lsn ||
	    a->flush != b->flush)
		abort();
	buf_release(&line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view line = {(const char *)data, size};
	struct line_error why = {0};
	struct stream_line l;

	/* a line holds no newline */
	if (size > 0 && memchr(data, '\n', size) != NULL)
		return 0;
	if (!event_read(&reader, line, &l, &why)) {
		if (why.reason == NULL || why.offset > size)
			abort();
	} else if (l.kind == LINE_EVENT)
		check_event(&l.event);
	else if (l.kind < LINE_ALIVE)
		check_control(&l);
	return 0;
}
