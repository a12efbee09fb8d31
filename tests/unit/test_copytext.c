#include <stdlib.h>

#include "reader/copytext.h"
#include "tap.h"

static struct tuple tuple;

/* Reads a copy of the row that ends where its memory ends. */
static bool
reads(struct view row, size_t n, char **memory)
{
	const char *reason;

	*memory = malloc(row.n + 1);
	if (*memory == NULL)
		abort();
	memcpy(*memory + 1, row.p, row.n);
	return copytext_read(*memory + 1, row.n, n, &tuple, &reason);
}

static void
test_rows(void)
{
	char *m;

	ok(reads(VIEW_LIT("1\tab\t\\N\n"), 3, &m) && tuple.n == 3 &&
		tuple.role == 'N',
	    "a row of three columns");
	is_view(tuple.fields[0].text, VIEW_LIT("1"), "- the first");
	is_view(tuple.fields[1].text, VIEW_LIT("ab"), "- the second");
	ok(tuple.fields[2].kind == 'n', "- the third is null");
	free(m);
	ok(reads(VIEW_LIT("\\b\\f\\n\\r\\t\\v\\\\\n"), 1, &m), "the escapes");
	is_view(tuple.fields[0].text, VIEW_LIT("\b\f\n\r\t\v\\"), "- decoded");
	free(m);
	ok(reads(VIEW_LIT("a\\\\N\t\\\\N\t\n"), 3, &m), "text like a null");
	is_view(tuple.fields[0].text, VIEW_LIT("a\\N"), "- in a text");
	is_view(tuple.fields[1].text, VIEW_LIT("\\N"), "- as a text");
	is_view(tuple.fields[2].text, VIEW_LIT(""), "- an empty text");
	ok(tuple.fields[1].kind == 't' && tuple.fields[2].kind == 't',
	    "- none is null");
	free(m);
	ok(reads(VIEW_LIT("\n"), 0, &m) && tuple.n == 0, "no columns");
	free(m);
}

static void
test_malformed(void)
{
	static const struct {
		struct view row;
		size_t n;
	} bad[] = {
	    {{"", 0}, 1},
	    {{"a", 1}, 1},
	    {{"a\tb\n", 4}, 1},
	    {{"a\n", 2}, 2},
	    {{"a\n", 2}, 0},
	    {{"\\x41\n", 5}, 1},
	    {{"\\\n", 2}, 1},
	    {{"\377\n", 2}, 1},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char *m;

		ok(!reads(bad[i].row, bad[i].n, &m), "malformed row %zu", i);
		free(m);
	}
}

int
main(void)
{
	test_rows();
	test_malformed();
	tuple_release(&tuple);
	return done_testing();
}
