#include <stdio.h>

#include "stream/tablelist.h"
#include "tap.h"

/* names: schema|table, one after another, each followed by a newline. */
static const struct {
	const char *text, *names;
} accepted[] = {
    {"orders", "public|orders\n"},
    {"Orders", "public|orders\n"},
    {"SALES.Orders", "sales|orders\n"},
    {"\"Orders\"", "public|Orders\n"},
    {"\"Sales\".orders", "Sales|orders\n"},
    {"sales.\"Line Items\"", "sales|Line Items\n"},
    {"\"a\"\"b\".\"\"\"\"", "a\"b|\"\n"},
    {"\"a.b\".\"c,d\"", "a.b|c,d\n"},
    {"\"a.b\"", "public|a.b\n"},
    {"\"a,\"", "public|a,\n"},
    {"a,b.c,\"D\"", "public|a\nb|c\npublic|D\n"},
    {" a ,\tb\n, c.d ", "public|a\npublic|b\nc|d\n"},
    {"\" a \"", "public| a \n"},
    {"a_1$", "public|a_1$\n"},
    {"\303\204\303\244Z", "public|\303\204\303\244z\n"},
    {"\"\303\204\n\"", "public|\303\204\n\n"},
    {"'a'", "public|'a'\n"},
};

static void
test_accepted(void)
{
	for (size_t i = 0; i < sizeof(accepted) / sizeof(*accepted); i++) {
		struct view names = view_of(accepted[i].names);
		struct table_list l;
		struct buf b = BUF_INIT;
		const char *reason = NULL;
		bool good = table_list_parse(&l, accepted[i].text, &reason);

		for (size_t j = 0; good && j < l.n; j++)
			buf_addf(&b, "%.*s|%.*s\n", VIEW_FMT(l.names[j].schema),
			    VIEW_FMT(l.names[j].table));
		is_view(
		    buf_view(&b), names, "names %zu: %.*s", i, VIEW_FMT(names));
		buf_release(&b);
		table_list_release(&l);
	}
}

static const char *const refused[] = {
    "",
    " ",
    ",",
    "a,",
    "a, ",
    ",a",
    "a,,b",
    "a b",
    ".",
    "a.",
    ".a",
    "a..b",
    "a.b.c",
    "\"",
    "\"a",
    "\"a\"\"",
    "\"\"",
    "\"\".a",
    "a.\"\"",
    "a\"b\"",
    "\"a\"b",
    "\"a\"\"b\"c",
    "a.\"b",
    "a,\"b",
    "a;b\"",
};

static void
test_refused(void)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		struct table_list l;
		const char *reason = NULL;

		ok(!table_list_parse(&l, refused[i], &reason) &&
			reason != NULL && *reason != '\0',
		    "refused for a reason: \"%s\"", refused[i]);
		table_list_release(&l);
	}
}

/* The names stay where they are while more are read. */
static void
test_long(void)
{
	struct buf b = BUF_INIT;
	struct table_list l;
	const char *reason;
	bool same = true;

	for (int i = 0; i < 5000; i++)
		buf_addf(&b, "%s\"S\"\"%d\".T%d", i > 0 ? "," : "", i, i);
	ok(table_list_parse(&l, buf_str(&b), &reason) && l.n == 5000,
	    "5000 names");
	for (int i = 0; i < 5000 && same; i++) {
		char schema[16], table[16];

		snprintf(schema, sizeof(schema), "S\"%d", i);
		snprintf(table, sizeof(table), "t%d", i);
		same = view_eq(l.names[i].schema, view_of(schema)) &&
		    view_eq(l.names[i].table, view_of(table));
	}
	ok(same, "- each unchanged");
	table_list_release(&l);
	buf_release(&b);
}

int
main(void)
{
	test_accepted();
	test_refused();
	test_long();
	return done_testing();
}
