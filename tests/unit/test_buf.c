#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "tap.h"

static void
test_append(void)
{
	struct buf b = BUF_INIT;

	is_view(buf_view(&b), VIEW_LIT(""), "a new buf is an empty string");
	buf_add(&b, "", 0);
	buf_adds(&b, "one");
	buf_addc(&b, ' ');
	buf_addv(&b, VIEW_LIT("two"));
	buf_addv(&b, VIEW_NULL);
	buf_addf(&b, " %d%s", 3, "");
	is_view(buf_view(&b), VIEW_LIT("one two 3"), "appends in order");
	is_str(buf_str(&b), "one two 3", "buf_str adds a NUL");
	ok(b.len == 9, "buf_str does not count its NUL");
	buf_addc(&b, '\0');
	buf_addc(&b, 'x');
	is_view(buf_view(&b), VIEW_LIT("one two 3\0x"), "bytes may be NUL");
	buf_release(&b);
	ok(b.data == NULL && b.len == 0 && b.cap == 0, "release empties it");
	is_str(buf_str(&b), "", "buf_str of an empty one");
	buf_release(&b);
}

static void
test_growth(void)
{
	struct buf b = BUF_INIT;
	bool same = true;

	for (int i = 0; i < 100000; i++)
		buf_addf(&b, "%05d", i);
	ok(b.len == 500000 && !b.failed, "grows to 500000 bytes");
	for (int i = 0; i < 100000 && same; i++) {
		char wanted[16];

		snprintf(wanted, sizeof(wanted), "%05d", i);
		same = memcmp(b.data + i * 5, wanted, 5) == 0;
	}
	ok(same, "- and keeps every byte");
	ok(b.cap < 4 * b.len, "- without far too much memory");
	buf_release(&b);
}

static void
test_reserve(void)
{
	struct buf b = BUF_INIT;
	char *to;

	ok(buf_reserve(&b, 0) != NULL, "reserving nothing returns a pointer");
	to = buf_reserve(&b, 1000);
	ok(to == b.data && b.len == 0 && b.cap >= 1000,
	    "reserve makes room and leaves the length");
	memset(to, 'a', 1000);
	b.len += 1000;
	ok(buf_reserve(&b, b.cap - b.len) == b.data + 1000,
	    "no move if there is room");
	buf_release(&b);
}

static void
test_consume(void)
{
	struct buf b = BUF_INIT;

	buf_consume(&b, 0);
	buf_adds(&b, "abcdef");
	buf_consume(&b, 0);
	is_view(buf_view(&b), VIEW_LIT("abcdef"), "consume nothing");
	buf_consume(&b, 2);
	is_view(buf_view(&b), VIEW_LIT("cdef"), "consume drops the front");
	buf_consume(&b, 4);
	is_view(buf_view(&b), VIEW_LIT(""), "consume all");
	buf_adds(&b, "x");
	is_view(buf_view(&b), VIEW_LIT("x"), "- and append again");
	buf_release(&b);
}

static void
test_failure(void)
{
	struct buf b = BUF_INIT;
	size_t cap;

	buf_adds(&b, "kept");
	cap = b.cap;
	ok(buf_reserve(&b, SIZE_MAX - 2) == NULL && b.failed,
	    "reserving more than SIZE_MAX / 2 fails");
	buf_adds(&b, "no");
	buf_addc(&b, 'n');
	buf_addf(&b, "%s", "no");
	is_view(buf_view(&b), VIEW_LIT("kept"),
	    "after a failure appends do nothing");
	ok(buf_str(&b) == NULL, "buf_str returns NULL");
	ok(buf_reserve(&b, 0) == NULL, "reserve returns NULL");
	buf_clear(&b);
	ok(!b.failed && b.len == 0 && b.cap == cap,
	    "clear forgets the failure and keeps the memory");
	buf_adds(&b, "again");
	is_view(buf_view(&b), VIEW_LIT("again"), "- and it works again");
	buf_release(&b);
}

static void
test_view(void)
{
	ok(view_eq(VIEW_NULL, VIEW_NULL), "null is null");
	ok(!view_eq(VIEW_NULL, VIEW_LIT("")), "null is not empty");
	ok(view_eq(view_of(NULL), VIEW_NULL), "a null pointer is null");
	ok(view_eq(view_of("ab"), VIEW_LIT("ab")), "equal");
	ok(!view_eq(VIEW_LIT("ab"), VIEW_LIT("abc")), "a prefix differs");
	ok(!view_eq(VIEW_LIT("ab"), VIEW_LIT("ac")), "a byte differs");
}

int
main(void)
{
	test_append();
	test_growth();
	test_reserve();
	test_consume();
	test_failure();
	test_view();
	return done_testing();
}
