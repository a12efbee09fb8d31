#include <stdio.h>

#include "batch.h"
#include "event_json.h"
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
size_of(const struct event *e)
{
	struct buf b = BUF_INIT;
	size_t n;

	event_json_put(&b, e);
	n = b.len;
	buf_release(&b);
	return n;
}

static bool
add(struct batch *b, int64_t id)
{
	struct event e = event(id);

	return batch_add(b, &e);
}

static void
is_batch(
    const struct batch *b, uint64_t events, int64_t first_id, int64_t last_id)
{
	struct buf wanted = BUF_INIT;

	for (int64_t id = first_id; events > 0 && id <= last_id; id++) {
		struct event e = event(id);

		event_json_put(&wanted, &e);
	}
	ok(b->events == events && b->first_id == first_id &&
		b->last_id == last_id,
	    "- %d events from %d to %d", (int)events, (int)first_id,
	    (int)last_id);
	is_view(buf_view(&b->text), buf_view(&wanted), "- as lines");
	buf_release(&wanted);
}

static void
test_events(void)
{
	struct batch b = {.max_events = 3, .max_bytes = 1000000};

	ok(!batch_full(&b), "an empty batch is not full");
	is_batch(&b, 0, 0, 0);
	ok(add(&b, 11) && !batch_full(&b), "one of three");
	is_batch(&b, 1, 11, 11);
	ok(add(&b, 12) && !batch_full(&b), "two of three");
	ok(add(&b, 13) && batch_full(&b), "three of three");
	is_batch(&b, 3, 11, 13);
	ok(!add(&b, 14), "no more");
	is_batch(&b, 3, 11, 13);
	batch_clear(&b);
	ok(!batch_full(&b) && b.max_events == 3 && b.max_bytes == 1000000,
	    "clear keeps the limits");
	is_batch(&b, 0, 0, 0);
	ok(add(&b, 14), "and it goes on");
	is_batch(&b, 1, 14, 14);
	batch_release(&b);
	ok(b.text.data == NULL, "release frees the text");
}

static void
test_bytes(void)
{
	struct event e = event(10);
	size_t one = size_of(&e);
	struct batch b = {.max_events = 100, .max_bytes = 3 * one};

	ok(add(&b, 10) && add(&b, 11) && !batch_full(&b), "two by bytes");
	ok(add(&b, 12) && batch_full(&b), "three fill it to the byte");
	ok(!add(&b, 13), "no more");
	is_batch(&b, 3, 10, 12);

	batch_clear(&b);
	b.max_bytes = 3 * one - 1;
	ok(add(&b, 10) && add(&b, 11), "two of less than three");
	ok(!add(&b, 12), "the third does not fit");
	is_batch(&b, 2, 10, 11);
	ok(!batch_full(&b), "but it is not full");
	e = event(9);
	ok(size_of(&e) == one - 1 && batch_add(&b, &e),
	    "one that is a byte shorter fits");
	ok(batch_full(&b) && b.events == 3 && b.last_id == 9 &&
		b.text.len == b.max_bytes,
	    "- and fills it");
	batch_release(&b);
}

static void
test_oversize(void)
{
	struct event e = event(10);
	struct batch b = {.max_events = 100, .max_bytes = size_of(&e) - 1};

	ok(add(&b, 10), "the first event fits, however large");
	is_batch(&b, 1, 10, 10);
	ok(batch_full(&b), "- and fills it");
	ok(!add(&b, 1), "- a smaller one does not fit");
	is_batch(&b, 1, 10, 10);
	batch_clear(&b);
	ok(add(&b, 1), "which may be the first of the next");
	ok(!add(&b, 10), "where the large one does not fit");
	is_batch(&b, 1, 1, 1);
	batch_release(&b);
}

int
main(void)
{
	test_events();
	test_bytes();
	test_oversize();
	return done_testing();
}
