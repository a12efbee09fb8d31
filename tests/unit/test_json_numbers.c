#include "json/json_numbers.h"

#include <stdio.h>
#include <stdlib.h>

#include "tap.h"

static void
number(const char *text, bool safe)
{
	ok(json_number_is_safe(view_of(text)) == safe, "%s is %s", text,
	    safe ? "safe" : "unsafe");
}

static void
row(const char *object, const char *wanted)
{
	struct buf b = BUF_INIT;
	struct view got = json_numbers_quote(view_of(object), &b);

	is_view(got, view_of(wanted != NULL ? wanted : object), "%s", object);
	ok((wanted == NULL) == (got.p == object), "- %s",
	    wanted == NULL ? "not copied" : "copied");
	buf_release(&b);
}

static void
numbers(void)
{
	number("0", true);
	number("-0.000", true);
	number("123456789012345", true);
	number("-123456789012345", true);
	number("1234567890123456", false);
	number("-1234567890123456", false);
	number("0.1", true);
	number("0.123456789012345", true);
	number("0.1234567890123456", false);
	number("0.000000000000000000123456789012345", true);
	number("0.0000000000000000001234567890123456", false);
	/* zeros at the ends */
	number("123456789012345000000000", true);
	number("1234567890123450.00", true);
	number("12.50000000000000000000000", true);
	number("1000000000000000000000000001", false);
	number("1.00000000000000000000000001", false);
	/* magnitude */
	number("9.99e307", true);
	number("1e308", false);
	number("1E+308", false);
	number("100e306", false);
	number("0.01e309", true);
	number("1e-307", true);
	number("9e-308", false);
	number("0.1e-306", true);
	number("0.01e-306", false);
	number("1e99999999999999999999", false);
	number("1e-99999999999999999999", false);
	number("0e99999", true);
}

static unsigned
next_random(unsigned n)
{
	static unsigned seed = 1;

	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % n;
}

/* Numbers of 15 digits and of all magnitudes are safe, and come back. */
static void
keeps(void)
{
	bool good = true;

	for (int i = 0; i < 20000 && good; i++) {
		char text[40], back[40];

		snprintf(text, sizeof(text), "%u.%07u%07ue%+03d",
		    1 + next_random(9), next_random(10000000),
		    next_random(10000000), (int)next_random(615) - 307);
		snprintf(back, sizeof(back), "%.14e", strtod(text, NULL));
		good = json_number_is_safe(view_of(text)) &&
		    strcmp(text, back) == 0;
		if (!good)
			printf("# %s %s\n", text, back);
	}
	ok(good, "20000 safe numbers come back");
}

static void
rows(void)
{
	row("{}", NULL);
	row("{\"a\":1,\"b\":null,\"c\":true,\"d\":\"1234567890123456\"}", NULL);
	row("{\"a\":1234567890123456}", "{\"a\":\"1234567890123456\"}");
	row("{\"a\":-1234567890123456,\"b\":2,\"c\":1e400}",
	    "{\"a\":\"-1234567890123456\",\"b\":2,\"c\":\"1e400\"}");
	row("{ \"a\" : 1234567890123456 , \"b\" : 1 }",
	    "{ \"a\" : \"1234567890123456\" , \"b\" : 1 }");
	/* keys and strings are not looked into */
	row("{\"1234567890123456\":1,\"\\\"1234567890123456\":\"\\\\\"}", NULL);
	/* arrays of numbers */
	row("{\"a\":[1,1234567890123456,null,\"NaN\",[-1234567890123456]]}",
	    "{\"a\":[1,\"1234567890123456\",null,\"NaN\","
	    "[\"-1234567890123456\"]]}");
	row("{\"a\":[\"-0\",\"Infinity\",\"-Infinity\",1e308],\"b\":[]}",
	    "{\"a\":[\"-0\",\"Infinity\",\"-Infinity\",\"1e308\"],\"b\":[]}");
	row("{\"a\":[1,2.5],\"b\":[[1],[2]]}", NULL);
	/* documents */
	row("{\"a\":{\"b\":1234567890123456},\"c\":[{\"d\":1e400}]}", NULL);
	row("{\"a\":[1, 1234567890123456]}", NULL);
	row("{\"a\":[1234567890123456,true]}", NULL);
	row("{\"a\":[1234567890123456,\"x\"],\"b\":1e400}",
	    "{\"a\":[1234567890123456,\"x\"],\"b\":\"1e400\"}");
	row("{\"a\":\"]\",\"b\":[\"]\",1e400],\"c\":{\"}\":1e400}}", NULL);
	/* what is no object */
	row("", NULL);
	row("1e400", NULL);
	/* cut off: no byte beyond the end is read */
	row("{\"a\":[1,\"x\\", NULL);
	row("{\"a\":{\"", NULL);
	row("{\"a\":1e40", NULL);
}

int
main(void)
{
	numbers();
	keeps();
	rows();
	return done_testing();
}
