#include "batcher/batch.h"

#include <stdlib.h>

#include "stream/event_write.h"

#define PIECE ((size_t)64 * 1024)

void
batch_queue_reset(struct batch_queue *q, int64_t last_id, uint64_t total)
{
	buf_clear(&q->text);
	q->head = q->n = q->cut = q->cut_len = 0;
	q->last_id = last_id;
	q->total = total;
}

void
batch_queue_release(struct batch_queue *q)
{
	safe_numbers_release(&q->numbers);
	buf_release(&q->text);
	free(q->lines);
	*q = (struct batch_queue){0};
}

void
batch_queue_compact(struct batch_queue *q)
{
	buf_consume(&q->text, q->head);
	q->head = 0;
}

static bool
make_room(struct batch_queue *q)
{
	size_t room = q->room == 0 ? 1024 : q->room * 2;
	struct batch_line *lines;

	if (q->n < q->room)
		return true;
	lines = realloc(q->lines, room * sizeof(*lines));
	if (lines == NULL)
		return false;
	q->lines = lines;
	q->room = room;
	return true;
}

bool
batch_queue_add(struct batch_queue *q, const struct event *e, int64_t write_no)
{
	struct event written = *e;
	size_t before = q->text.len;

	if (!safe_numbers_apply(&q->numbers, &written))
		return false;
	event_write(&q->text, &written);
	if (q->text.failed || !make_room(q))
		return false;
	q->lines[q->n++] = (struct batch_line){e->id, write_no,
	    q->book != NULL ? schema_book_at(q->book, e) : 0,
	    q->text.len - before};
	return true;
}

/* Goes on where the last call ended, so it looks at each line once. */
static bool
is_complete(struct batch_queue *q, const struct batch_limits *l)
{
	while (q->cut < q->n && q->cut < l->events) {
		size_t len = q->lines[q->cut].len;

		if (q->cut > 0 && q->cut_len + len > l->bytes)
			return true;
		q->cut++;
		q->cut_len += len;
	}
	return q->cut > 0 && (q->cut == l->events || q->cut_len >= l->bytes);
}

bool
batch_cut(struct batch_queue *q, const struct batch_limits *l, bool all,
    struct batch *b)
{
	*b = (struct batch){0};
	if (!is_complete(q, l) && (!all || q->cut == 0))
		return false;
	b->len = q->cut_len;
	b->events = q->cut;
	b->first_id = q->lines[0].id;
	b->last_id = q->lines[q->cut - 1].id;
	return true;
}

struct batch
batch_part(const struct batch_queue *q, const struct batch *b, uint64_t skip,
    uint64_t n)
{
	struct batch part = {.from = b->from + skip, .at = b->at, .events = n};

	for (size_t i = b->from; i < part.from; i++)
		part.at += q->lines[i].len;
	for (size_t i = part.from; i < part.from + n; i++)
		part.len += q->lines[i].len;
	part.first_id = q->lines[part.from].id;
	part.last_id = q->lines[part.from + n - 1].id;
	return part;
}

struct view
batch_text(const struct batch_queue *q, const struct batch *b)
{
	return (struct view){q->text.data + q->head + b->at, b->len};
}

static size_t
add_part(struct buf *to, struct view text, size_t skip)
{
	size_t n = text.n - skip < PIECE ? text.n - skip : PIECE;

	buf_add(to, text.p + skip, n);
	return n;
}

/* Lists the pieces of the batch, unless that was done. */
static void
list_pieces(const struct batch_queue *q, const struct batch *b, bool again)
{
	struct schema_book *book = q->book;

	if (!again && book->at == b->at && book->from == b->from &&
	    book->events == b->events)
		return;
	schema_book_begin(book);
	for (size_t i = b->from; i < b->from + b->events; i++)
		schema_book_add(book, q->lines[i].schema, q->lines[i].len);
	book->at = b->at;
	book->from = b->from;
	book->events = b->events;
}

static size_t
add_listed(const struct batch_queue *q, const struct batch *b, size_t done,
    struct buf *to)
{
	const struct schema_book *book = q->book;
	struct view events = batch_text(q, b), text;

	for (size_t i = 0; i < book->npieces; i++) {
		const struct schema_piece *p = &book->pieces[i];

		text = p->line != 0 ? schema_book_text(book, p->line)
				    : (struct view){events.p, p->len};
		if (done < p->len)
			return add_part(to, text, done);
		done -= p->len;
		if (p->line == 0)
			events.p += p->len;
	}
	return 0;
}

bool
batch_piece(const struct batch_queue *q, const struct batch *b, size_t *done,
    struct buf *to)
{
	size_t n, before = *done;

	if (q->book == NULL) {
		n = add_part(to, batch_text(q, b), *done);
		*done += n;
		return n > 0;
	}
	list_pieces(q, b, *done == 0);
	while (*done - before < PIECE && (n = add_listed(q, b, *done, to)) > 0)
		*done += n;
	to->failed |= q->book->failed;
	return *done > before;
}

struct batch_mark
batch_mark(const struct batch_queue *q, const struct batch *b)
{
	int64_t before = b->from > 0 ? q->lines[b->from - 1].id : q->last_id;

	return (struct batch_mark){
	    .first_id = before + 1,
	    .last_id = b->last_id,
	    .events = b->events,
	    .total = q->total + b->from + b->events,
	    .write_no = q->lines[b->from + b->events - 1].write_no,
	};
}

void
batch_pop(struct batch_queue *q, const struct batch *b)
{
	q->head += b->len;
	q->last_id = b->last_id;
	q->total += b->events;
	q->n -= b->events;
	memmove(q->lines, q->lines + b->events, q->n * sizeof(*q->lines));
	q->cut = q->cut_len = 0;
}
