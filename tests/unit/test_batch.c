#include "batcher/batch.h"
#include "stream/event_write.h"
#include "tap.h"

static struct event
event(int64_t id)
{
	return (struct event){
	    .id = id,
	    .source_id = VIEW_LIT("s"),
	    .schema_name = VIEW_LIT("p"),
	    .table_name = VIEW_LIT("t"),
	    .operation = VIEW_LIT("INSERT"),
	    .lsn = VIEW_LIT("0/1"),
	};
}

static size_t
size_of(int64_t id)
{
	struct event e = event(id);
	struct buf b = BUF_INIT;
	size_t n;

	event_write(&b, &e);
	n = b.len;
	buf_release(&b);
	return n;
}

/* Adds events with these ids; the write number is id / 10. */
static void
add(struct batch_queue *q, int64_t from, int64_t to)
{
	for (int64_t id = from; id <= to; id++) {
		struct event e = event(id);

		if (!batch_queue_add(q, &e, id / 10))
			ok(false, "out of memory");
	}
}

static void
is_batch(const struct batch_queue *q, const struct batch *b, int64_t first_id,
    int64_t last_id)
{
	struct buf wanted = BUF_INIT;

	for (int64_t id = first_id; id <= last_id; id++) {
		struct event e = event(id);

		event_write(&wanted, &e);
	}
	ok(b->events == (uint64_t)(last_id - first_id + 1) &&
		b->first_id == first_id && b->last_id == last_id,
	    "- events %d to %d", (int)first_id, (int)last_id);
	is_view(batch_text(q, b), buf_view(&wanted), "- as lines");
	buf_release(&wanted);
}

static void
test_events(void)
{
	struct batch_limits l = {3, 1000000};
	struct batch_queue q = {0};
	struct batch b;

	ok(!batch_cut(&q, &l, true, &b) && b.events == 0,
	    "an empty queue gives no batch");
	add(&q, 11, 12);
	ok(!batch_cut(&q, &l, false, &b) && b.events == 0,
	    "two events of three give no batch");
	ok(batch_cut(&q, &l, true, &b), "unless they are the rest");
	is_batch(&q, &b, 11, 12);
	add(&q, 13, 17);
	ok(batch_cut(&q, &l, false, &b), "three of three give one");
	is_batch(&q, &b, 11, 13);
	add(&q, 18, 200);
	is_batch(&q, &b, 11, 13);
	batch_pop(&q, &b);
	ok(batch_cut(&q, &l, false, &b), "the next batch");
	batch_queue_compact(&q);
	is_batch(&q, &b, 14, 16);
	for (int64_t id = 14; id <= 197; id += 3) {
		if (!batch_cut(&q, &l, false, &b) || b.first_id != id)
			break;
		batch_pop(&q, &b);
	}
	ok(batch_cut(&q, &l, true, &b), "the last batch");
	is_batch(&q, &b, 200, 200);
	batch_pop(&q, &b);
	ok(batch_queue_len(&q) == 0 && !batch_cut(&q, &l, true, &b),
	    "the queue is empty then");
	batch_queue_release(&q);
}

static void
test_bytes(void)
{
	size_t one = size_of(10);
	struct batch_limits l = {100, 3 * one};
	struct batch_queue q = {0};
	struct batch b;

	add(&q, 10, 12);
	ok(batch_cut(&q, &l, false, &b), "a batch filled to the byte");
	is_batch(&q, &b, 10, 12);
	batch_queue_reset(&q, 9, 0);
	l.bytes = 3 * one - 1;
	add(&q, 10, 11);
	ok(!batch_cut(&q, &l, false, &b), "two events are below the limit");
	add(&q, 12, 12);
	ok(batch_cut(&q, &l, false, &b),
	    "the third does not fit, so the batch is cut");
	is_batch(&q, &b, 10, 11);
	batch_pop(&q, &b);
	ok(!batch_cut(&q, &l, false, &b), "the third begins the next batch");

	l.bytes = one - 1;
	ok(batch_cut(&q, &l, false, &b),
	    "an event larger than the limit goes alone");
	is_batch(&q, &b, 12, 12);
	batch_queue_release(&q);
}

static void
is_mark(struct batch_mark m, int64_t first_id, int64_t last_id, uint64_t events,
    uint64_t total, int64_t write_no)
{
	ok(m.first_id == first_id && m.last_id == last_id &&
		m.events == events && m.total == total &&
		m.write_no == write_no,
	    "- mark %d to %d, %d events, total %d, write %d", (int)m.first_id,
	    (int)m.last_id, (int)m.events, (int)m.total, (int)m.write_no);
}

static void
test_marks(void)
{
	struct batch_limits l = {4, 1000000};
	struct batch_queue q = {0};
	struct batch b, part;

	batch_queue_reset(&q, 7, 100);
	add(&q, 18, 21);
	add(&q, 35, 38);
	ok(batch_cut(&q, &l, false, &b), "a batch after other ids");
	is_mark(batch_mark(&q, &b), 8, 21, 4, 104, 2);
	part = batch_part(&q, &b, 0, 2);
	is_batch(&q, &part, 18, 19);
	is_mark(batch_mark(&q, &part), 8, 19, 2, 102, 1);
	part = batch_part(&q, &b, 1, 3);
	is_batch(&q, &part, 19, 21);
	is_mark(batch_mark(&q, &part), 19, 21, 3, 104, 2);
	part = batch_part(&q, &part, 2, 1);
	is_batch(&q, &part, 21, 21);
	batch_pop(&q, &b);
	ok(batch_cut(&q, &l, false, &b), "the next batch");
	is_mark(batch_mark(&q, &b), 22, 38, 4, 108, 3);
	batch_queue_release(&q);
}

int
main(void)
{
	test_events();
	test_bytes();
	test_marks();
	return done_testing();
}
