#include <stdlib.h>

#include "base/buf.h"
#include "tap.h"
#include "json/json_scan.h"

/*
 * What PostgreSQL 15 accepts and refuses as text::jsonb.  test_json_read tests
 * the range of numbers.
 */

static struct buf text;

static void
repeat(struct view v, size_t n)
{
	char *to = buf_reserve(&text, v.n * n);

	if (to == NULL)
		abort();
	for (size_t i = 0; i < n; i++, to += v.n)
		memcpy(to, v.p, v.n);
	text.len += v.n * n;
}

/* before, n times piece, after. */
static void
is_size(bool wanted, const char *before, struct view piece, size_t n,
    const char *after)
{
	struct json_error e = {NULL, 1};
	bool got;

	buf_clear(&text);
	buf_adds(&text, before);
	repeat(piece, n);
	buf_adds(&text, after);
	got = json_storable(buf_view(&text), JSON_STORE_DEPTH, false, &e);
	ok(got == wanted, "%s: %s %zu times %.*s %s",
	    wanted ? "fits" : "too large", before, n, VIEW_FMT(piece), after);
	if (!got)
		is_str(e.reason, "too large for jsonb", "- the reason");
}

static void
test_strings(void)
{
	/* entry and header of the array, entry of the string */
	size_t room = 268435455 - 15;

	is_size(true, "[\"", VIEW_LIT("a"), room, "\"]");
	is_size(false, "[\"", VIEW_LIT("a"), room + 5, "\"]");
	/* an escape counts as its character */
	is_size(true, "[\"", VIEW_LIT("\\u0001"), 45000000, "\"]");
	is_size(true, "[\"", VIEW_LIT("\\ud83d\\ude00"), 23000000, "\"]");
}

static void
test_containers(void)
{
	size_t elements = 1 << 24, pairs = 1 << 23;

	is_size(true, "[", VIEW_LIT("null,"), elements - 1, "null]");
	is_size(false, "[", VIEW_LIT("null,"), elements, "null]");
	is_size(true, "{", VIEW_LIT("\"\":true,"), pairs - 1, "\"\":1}");
	is_size(false, "{", VIEW_LIT("\"\":true,"), pairs, "\"\":1}");
	is_size(
	    false, "[[1],{\"a\":[", VIEW_LIT("\"\","), elements, "\"\"]},[]]");
	is_size(true, "[", VIEW_LIT("[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0],"),
	    1000000, "{}]");
	is_size(false, "[", VIEW_LIT("1e5,"), elements - 1, "-0.50]");
}

int
main(void)
{
	test_strings();
	test_containers();
	buf_release(&text);
	return done_testing();
}
