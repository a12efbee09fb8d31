#include <stdint.h>
#include <stdlib.h>

#include "reader/pgvalue.h"
#include "tap.h"
#include "json/json_scan.h"

/* OIDs of src/include/catalog/pg_type.dat */
enum {
	T_BOOL = 16,
	T_BYTEA = 17,
	T_CHAR = 18,
	T_NAME = 19,
	T_INT8 = 20,
	T_INT2 = 21,
	T_INT2VECTOR = 22,
	T_INT4 = 23,
	T_TEXT = 25,
	T_OID = 26,
	T_OIDVECTOR = 30,
	T_JSON = 114,
	T_XML = 142,
	T_JSON_ARRAY = 199,
	T_POINT = 600,
	T_FLOAT4 = 700,
	T_FLOAT8 = 701,
	T_MONEY = 790,
	T_BOOL_ARRAY = 1000,
	T_BYTEA_ARRAY = 1001,
	T_INT2_ARRAY = 1005,
	T_INT2VECTOR_ARRAY = 1006,
	T_INT4_ARRAY = 1007,
	T_TEXT_ARRAY = 1009,
	T_INT8_ARRAY = 1016,
	T_POINT_ARRAY = 1017,
	T_BOX_ARRAY = 1020,
	T_FLOAT4_ARRAY = 1021,
	T_FLOAT8_ARRAY = 1022,
	T_OID_ARRAY = 1028,
	T_TIMESTAMP = 1114,
	T_TIMESTAMP_ARRAY = 1115,
	T_TIMESTAMPTZ = 1184,
	T_INTERVAL = 1186,
	T_NUMERIC_ARRAY = 1231,
	T_NUMERIC = 1700,
	T_RECORD_ARRAY = 2287,
	T_UUID = 2950,
	T_UUID_ARRAY = 2951,
	T_JSONB = 3802,
	T_JSONB_ARRAY = 3807,
	T_INT4RANGE = 3904,
	T_INT4RANGE_ARRAY = 3905,
	T_INT8MULTIRANGE_ARRAY = 6157,
	T_USER = 16384,
};

static struct buf out;

/* Writes an exact copy of text, and checks that the result is JSON. */
static bool
write_value(uint32_t oid, struct view text)
{
	char *p = malloc(text.n > 0 ? text.n : 1);
	struct json_error e;
	bool flag;

	if (p == NULL)
		abort();
	memcpy(p, text.p, text.n);
	buf_clear(&out);
	flag = pgvalue_write(&out, oid, (struct view){p, text.n});
	free(p);
	if (!json_storable(buf_view(&out), JSON_STORE_DEPTH, false, &e)) {
		ok(false, "JSON: %s at %zu", e.reason, e.offset);
		tap_show("it is", buf_view(&out));
	}
	return flag;
}

static const struct {
	uint32_t oid;
	const char *text, *json;
} values[] = {
    {T_BOOL, "t", "true"},
    {T_BOOL, "f", "false"},
    {T_BOOL, "x", "\"x\""},
    {T_BOOL, "", "\"\""},
    {T_INT2, "-32768", "-32768"},
    {T_INT4, "0", "0"},
    {T_INT8, "9223372036854775807", "9223372036854775807"},
    {T_INT8, "-9223372036854775808", "-9223372036854775808"},
    {T_OID, "4294967295", "4294967295"},
    {T_FLOAT4, "1.5", "1.5"},
    {T_FLOAT4, "1e+20", "1e+20"},
    {T_FLOAT4, "1e-05", "1e-05"},
    {T_FLOAT8, "0.1", "0.1"},
    {T_FLOAT8, "1.7976931348623157e+308", "1.7976931348623157e+308"},
    {T_FLOAT8, "5e-324", "5e-324"},
    {T_FLOAT8, "-0.5", "-0.5"},
    {T_FLOAT8, "-1e-07", "-1e-07"},
    {T_FLOAT8, "0", "0"},
    {T_FLOAT8, "-0", "\"-0\""},
    {T_FLOAT4, "-0", "\"-0\""},
    {T_FLOAT8, "-0.00", "\"-0.00\""},
    {T_FLOAT8, "-0e+10", "\"-0e+10\""},
    {T_FLOAT8, "NaN", "\"NaN\""},
    {T_FLOAT8, "Infinity", "\"Infinity\""},
    {T_FLOAT8, "-Infinity", "\"-Infinity\""},
    {T_NUMERIC, "12.50", "12.50"},
    {T_NUMERIC, "0.000", "0.000"},
    {T_NUMERIC, "-0.001", "-0.001"},
    {T_NUMERIC, "123456789012345678901234567890.123456789",
	"123456789012345678901234567890.123456789"},
    {T_NUMERIC, "NaN", "\"NaN\""},
    {T_NUMERIC, "Infinity", "\"Infinity\""},
    {T_NUMERIC, "-Infinity", "\"-Infinity\""},
    /* text that no server sends still becomes JSON */
    {T_INT4, "", "\"\""},
    {T_INT4, "-", "\"-\""},
    {T_INT4, "+1", "\"+1\""},
    {T_INT4, "01", "\"01\""},
    {T_INT4, "1,2", "\"1,2\""},
    {T_INT4, " 1", "\" 1\""},
    {T_INT4, "1\n", "\"1\\n\""},
    {T_FLOAT8, ".5", "\".5\""},
    {T_FLOAT8, "1.", "\"1.\""},
    {T_NUMERIC, "1e131072", "\"1e131072\""},
    /* the text itself */
    {T_TEXT, "", "\"\""},
    {T_TEXT, "a \"b\" \\ \n\t \303\244",
	"\"a \\\"b\\\" \\\\ \\n\\t \303\244\""},
    {T_TEXT, "null", "\"null\""},
    {T_TEXT, "{1,2}", "\"{1,2}\""},
    {T_BYTEA, "\\x00ff", "\"\\\\x00ff\""},
    {T_CHAR, "\\377", "\"\\\\377\""},
    {T_NAME, "1", "\"1\""},
    {T_XML, "<a b=\"1\"/>", "\"<a b=\\\"1\\\"/>\""},
    {T_INT2VECTOR, "1 2", "\"1 2\""},
    {T_OIDVECTOR, "1", "\"1\""},
    {T_POINT, "(1,2)", "\"(1,2)\""},
    {T_MONEY, "$1.00", "\"$1.00\""},
    {T_TIMESTAMP, "infinity", "\"infinity\""},
    {T_TIMESTAMPTZ, "2026-11-22 13:12:35.9+00", "\"2026-11-22 13:12:35.9+00\""},
    {T_INTERVAL, "1 day", "\"1 day\""},
    {T_UUID, "00000000-0000-0000-0000-000000000000",
	"\"00000000-0000-0000-0000-000000000000\""},
    {T_INT4RANGE, "[1,2)", "\"[1,2)\""},
    {T_RECORD_ARRAY, "{(1)}", "\"{(1)}\""},
    {T_USER, "{1,2}", "\"{1,2}\""},
    {0, "1", "\"1\""},
    {UINT32_MAX, "1", "\"1\""},
    /* JSON */
    {T_JSON, "{\"a\" : [1, 2.50]}", "{\"a\" : [1, 2.50]}"},
    {T_JSON, "{\n\t\"a\":\r\n1\n}", "{ \t\"a\":  1 }"},
    {T_JSON, "\"a\\nb\"", "\"a\\nb\""},
    {T_JSON, " 1 ", " 1 "},
    {T_JSON, "{\"a\":{\"b\":1},\"b\":{\"b\":1}}",
	"{\"a\":{\"b\":1},\"b\":{\"b\":1}}"},
    {T_JSONB, "{\"a\": [1, null, true]}", "{\"a\": [1, null, true]}"},
    {T_JSONB, "\"\\\\u0000\"", "\"\\\\u0000\""},
    /* arrays */
    {T_INT4_ARRAY, "{}", "[]"},
    {T_INT4_ARRAY, "{1}", "[1]"},
    {T_INT4_ARRAY, "{1,-2,NULL,3}", "[1,-2,null,3]"},
    {T_INT2_ARRAY, "{NULL}", "[null]"},
    {T_INT8_ARRAY, "{9223372036854775807}", "[9223372036854775807]"},
    {T_OID_ARRAY, "{1,4294967295}", "[1,4294967295]"},
    {T_INT4_ARRAY, "{{1,2},{3,4}}", "[[1,2],[3,4]]"},
    {T_INT4_ARRAY, "{{{1},{2}},{{3},{NULL}}}", "[[[1],[2]],[[3],[null]]]"},
    {T_INT4_ARRAY, "{{{{1}}},{{{2}}}}", "[[[[1]]],[[[2]]]]"},
    {T_INT4_ARRAY, "{{{{{1,2}}}}}", "[[[[[1,2]]]]]"},
    {T_INT4_ARRAY, "{{{{{{1},{2}}}}}}", "[[[[[[1],[2]]]]]]"},
    {T_INT4_ARRAY, "{{{{{{{1}}}}}}}", "\"{{{{{{{1}}}}}}}\""},
    {T_BOOL_ARRAY, "{t,f,NULL}", "[true,false,null]"},
    {T_FLOAT4_ARRAY, "{1.5,NaN,-0}", "[1.5,\"NaN\",\"-0\"]"},
    {T_FLOAT8_ARRAY, "{1e+20,Infinity,-Infinity,0}",
	"[1e+20,\"Infinity\",\"-Infinity\",0]"},
    {T_NUMERIC_ARRAY, "{1.50,NaN,NULL}", "[1.50,\"NaN\",null]"},
    {T_TEXT_ARRAY, "{a,NULL,\"NULL\",\"\",\"null\"}",
	"[\"a\",null,\"NULL\",\"\",\"null\"]"},
    {T_TEXT_ARRAY, "{\"a \\\"b\\\" \\\\ c\",\"{}\",\"x,y\",\"[1:2]=\"}",
	"[\"a \\\"b\\\" \\\\ c\",\"{}\",\"x,y\",\"[1:2]=\"]"},
    {T_TEXT_ARRAY, "{\"\\\\\",\"\\\"\",\"\\\\\\\"\"}",
	"[\"\\\\\",\"\\\"\",\"\\\\\\\"\"]"},
    {T_TEXT_ARRAY, "{\"a\nb\tc\",\303\244,(}",
	"[\"a\\nb\\tc\",\"\303\244\",\"(\"]"},
    {T_TEXT_ARRAY, "{{a,\"}\"},{\"{\",d}}", "[[\"a\",\"}\"],[\"{\",\"d\"]]"},
    {T_TEXT_ARRAY, "{a;b,[1:2]={1}", "\"{a;b,[1:2]={1}\""},
    {T_TEXT_ARRAY, "{a;b,[0:1]=}", "[\"a;b\",\"[0:1]=\"]"},
    {T_BYTEA_ARRAY, "{\"\\\\x00ff\",\"\\\\x\"}", "[\"\\\\x00ff\",\"\\\\x\"]"},
    {T_TIMESTAMP_ARRAY, "{\"2026-11-22 13:12:35\",infinity}",
	"[\"2026-11-22 13:12:35\",\"infinity\"]"},
    {T_UUID_ARRAY, "{00000000-0000-0000-0000-000000000001}",
	"[\"00000000-0000-0000-0000-000000000001\"]"},
    {T_POINT_ARRAY, "{\"(1,2)\",NULL}", "[\"(1,2)\",null]"},
    {T_BOX_ARRAY, "{(1,1),(0,0)}", "[\"(1,1),(0,0)\"]"},
    {T_BOX_ARRAY, "{(1,1),(0,0);NULL;(2,2),(1,1)}",
	"[\"(1,1),(0,0)\",null,\"(2,2),(1,1)\"]"},
    {T_BOX_ARRAY, "{{(1,1),(0,0)};{(2,2),(1,1)}}",
	"[[\"(1,1),(0,0)\"],[\"(2,2),(1,1)\"]]"},
    {T_BOX_ARRAY, "{{(1,1),(0,0)},{(2,2),(1,1)}}",
	"\"{{(1,1),(0,0)},{(2,2),(1,1)}}\""},
    {T_INT2VECTOR_ARRAY, "{\"1 2\",3}", "[\"1 2\",\"3\"]"},
    {T_INT4RANGE_ARRAY, "{\"[1,2)\",empty}", "[\"[1,2)\",\"empty\"]"},
    {T_INT8MULTIRANGE_ARRAY, "{\"{[1,2),[4,5)}\",\"{}\"}",
	"[\"{[1,2),[4,5)}\",\"{}\"]"},
    {T_JSON_ARRAY, "{\"{\\\"a\\\":\n1}\",NULL,1,\"\\\"x\\\"\"}",
	"[{\"a\": 1},null,1,\"x\"]"},
    {T_JSONB_ARRAY, "{\"{\\\"a\\\": \\\"\\\\\\\\\\\\\\\"\\\"}\",NULL}",
	"[{\"a\": \"\\\\\\\"\"},null]"},
    {T_JSON_ARRAY, "{}", "[]"},
    {T_JSON_ARRAY, "{{1,2},{\"[3,\n4]\",NULL}}", "[[1,2],[[3, 4],null]]"},
    {T_JSON_ARRAY, "{\"{\\\"a\\\":1}\",\"{\\\"a\\\":2}\"}",
	"[{\"a\":1},{\"a\":2}]"},
    /* custom lower bounds */
    {T_INT4_ARRAY, "[0:1]={1,2}", "\"[0:1]={1,2}\""},
    {T_INT4_ARRAY, "[-1:0][3:3]={{1},{2}}", "\"[-1:0][3:3]={{1},{2}}\""},
    {T_TEXT_ARRAY, "[2:2]={\"a\"}", "\"[2:2]={\\\"a\\\"}\""},
    {T_JSON_ARRAY, "[0:0]={1}", "\"[0:0]={1}\""},
    /* malformed: no server sends these */
    {T_INT4_ARRAY, "", "\"\""},
    {T_INT4_ARRAY, "{", "\"{\""},
    {T_INT4_ARRAY, "}", "\"}\""},
    {T_INT4_ARRAY, "1", "\"1\""},
    {T_INT4_ARRAY, "{1", "\"{1\""},
    {T_INT4_ARRAY, "{1,", "\"{1,\""},
    {T_INT4_ARRAY, "{1,}", "\"{1,}\""},
    {T_INT4_ARRAY, "{,1}", "\"{,1}\""},
    {T_INT4_ARRAY, "{1}}", "\"{1}}\""},
    {T_INT4_ARRAY, "{1}x", "\"{1}x\""},
    {T_INT4_ARRAY, "{1},{2}", "\"{1},{2}\""},
    {T_INT4_ARRAY, "{{1},2}", "\"{{1},2}\""},
    {T_INT4_ARRAY, "{1,{2}}", "\"{1,{2}}\""},
    {T_INT4_ARRAY, "{{1}{2}}", "\"{{1}{2}}\""},
    {T_INT4_ARRAY, "{{}}", "\"{{}}\""},
    {T_INT4_ARRAY, "{{},{}}", "\"{{},{}}\""},
    {T_INT4_ARRAY, "{1;2}", "[\"1;2\"]"},
    {T_TEXT_ARRAY, "{\"a}", "\"{\\\"a}\""},
    {T_TEXT_ARRAY, "{\"a\\", "\"{\\\"a\\\\\""},
    {T_TEXT_ARRAY, "{\"a\\\"", "\"{\\\"a\\\\\\\"\""},
    {T_TEXT_ARRAY, "{\"a\"b}", "\"{\\\"a\\\"b}\""},
    {T_TEXT_ARRAY, "{a\"b\"}", "\"{a\\\"b\\\"}\""},
    {T_TEXT_ARRAY, "{a\\,b}", "\"{a\\\\,b}\""},
    {T_TEXT_ARRAY, "{a,b", "\"{a,b\""},
};

static void
test_values(void)
{
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		bool flag = write_value(values[i].oid, view_of(values[i].text));

		is_view(buf_view(&out), view_of(values[i].json), "%u: %s",
		    values[i].oid, values[i].text);
		ok(!flag, "%u: not JSON in a string", values[i].oid);
	}
}

static const struct {
	uint32_t oid;
	const char *text, *json;
} unstorable[] = {
    {T_JSON, "{\"a\":1,\"a\":2}", "\"{\\\"a\\\":1,\\\"a\\\":2}\""},
    {T_JSON, "\"\\u0000\"", "\"\\\"\\\\u0000\\\"\""},
    {T_JSON, "\"\\ud800\"", "\"\\\"\\\\ud800\\\"\""},
    {T_JSON, "1e131072", "\"1e131072\""},
    {T_JSON, "", "\"\""},
    {T_JSON, "null", "\"null\""},
    {T_JSON, "\n null\t", "\"\\n null\\t\""},
    {T_JSONB, "null", "\"null\""},
    {T_JSONB_ARRAY, "{\"null\",NULL}", "\"{\\\"null\\\",NULL}\""},
    {T_JSON, "{", "\"{\""},
    {T_JSONB, "1 2", "\"1 2\""},
    {T_JSON_ARRAY, "{1,\"\\\"\\\\u0000\\\"\"}",
	"\"{1,\\\"\\\\\\\"\\\\\\\\u0000\\\\\\\"\\\"}\""},
    {T_JSON_ARRAY, "{{1},{1e131072}}", "\"{{1},{1e131072}}\""},
    {T_JSON_ARRAY, "{\"[{\\\"a\\\":1,\\\"a\\\":2}]\"}",
	"\"{\\\"[{\\\\\\\"a\\\\\\\":1,\\\\\\\"a\\\\\\\":2}]\\\"}\""},
    /* not one value each, though their row would be JSON */
    {T_JSON_ARRAY, "{\"1,2\"}", "\"{\\\"1,2\\\"}\""},
    {T_JSONB_ARRAY, "{\"1],[2\"}", "\"{\\\"1],[2\\\"}\""},
};

static void
test_unstorable(void)
{
	for (size_t i = 0; i < sizeof(unstorable) / sizeof(*unstorable); i++) {
		ok(write_value(unstorable[i].oid, view_of(unstorable[i].text)),
		    "%u: says so: %s", unstorable[i].oid, unstorable[i].text);
		is_view(buf_view(&out), view_of(unstorable[i].json),
		    "%u: a string: %s", unstorable[i].oid, unstorable[i].text);
	}
	/* jsonb's own keys are unique: they are not looked at */
	ok(!write_value(T_JSONB, VIEW_LIT("{\"a\":1,\"a\":2}")),
	    "keys of jsonb are not compared");
}

static void
add_times(struct buf *b, char c, size_t n)
{
	while (n-- > 0)
		buf_addc(b, c);
}

/* json depth levels deep, in an array of dims dimensions. */
static bool
write_deep(uint32_t oid, size_t dims, size_t depth)
{
	struct buf b = BUF_INIT;
	bool flag;

	add_times(&b, '{', dims);
	add_times(&b, '[', depth);
	add_times(&b, ']', depth);
	add_times(&b, '}', dims);
	flag = write_value(oid, buf_view(&b));
	ok(flag == (out.data[0] == '"'), "flag and string go together");
	buf_release(&b);
	return flag;
}

static void
test_depth(void)
{
	ok(!write_deep(T_JSON, 0, 256), "json 256 deep");
	ok(write_deep(T_JSON, 0, 257), "json 257 deep is a string");
	ok(write_deep(T_JSONB, 0, 257), "jsonb 257 deep is a string");
	ok(!write_deep(T_JSON_ARRAY, 1, 255), "an array's level counts");
	ok(write_deep(T_JSON_ARRAY, 1, 256), "a level more");
	ok(!write_deep(T_JSONB_ARRAY, 6, 250), "six levels count");
	ok(write_deep(T_JSONB_ARRAY, 6, 251), "a level more than six");
}

static void
test_sizes(void)
{
	struct buf b = BUF_INIT;

	add_times(&b, '9', 131072);
	buf_addc(&b, '.');
	add_times(&b, '1', 16383);
	write_value(T_NUMERIC, buf_view(&b));
	is_view(buf_view(&out), buf_view(&b), "the longest numeric");
	buf_clear(&b);
	buf_adds(&b, "{0");
	for (int i = 1; i < 100000; i++)
		buf_addf(&b, ",%d", i);
	buf_adds(&b, "}");
	write_value(T_INT4_ARRAY, buf_view(&b));
	b.data[0] = '[';
	b.data[b.len - 1] = ']';
	is_view(buf_view(&out), buf_view(&b), "100000 elements");
	buf_release(&b);
}

static void
test_append(void)
{
	buf_clear(&out);
	buf_adds(&out, "[");
	pgvalue_write(&out, T_INT4, VIEW_LIT("1"));
	buf_adds(&out, ",");
	pgvalue_write(&out, T_INT4_ARRAY, VIEW_LIT("{1,{2}"));
	buf_adds(&out, ",");
	pgvalue_write(&out, T_JSON, VIEW_LIT("[\n]"));
	buf_adds(&out, ",");
	pgvalue_write(&out, T_JSON_ARRAY, VIEW_LIT("{1}"));
	buf_adds(&out, ",");
	ok(!pgvalue_write(&out, T_JSON, VIEW_NULL), "a null view is null");
	is_view(
	    buf_view(&out), VIEW_LIT("[1,\"{1,{2}\",[ ],[1],null"), "appends");
	buf_clear(&out);
	buf_reserve(&out, SIZE_MAX - 100);
	pgvalue_write(&out, T_INT4, VIEW_LIT("1"));
	pgvalue_write(&out, T_JSON, VIEW_LIT("1\n"));
	pgvalue_write(&out, T_JSON_ARRAY, VIEW_LIT("{\"[\\\\]\",1}"));
	pgvalue_write(&out, T_TEXT_ARRAY, VIEW_LIT("{\"\\\\\"}"));
	ok(out.failed && out.len == 0, "nothing is written after a failure");
}

int
main(void)
{
	test_values();
	test_unstorable();
	test_depth();
	test_sizes();
	test_append();
	buf_release(&out);
	return done_testing();
}
