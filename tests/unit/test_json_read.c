#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "tap.h"
#include "json/json_escape.h"
#include "json/json_read.h"

static struct json_reader reader;

/* A copy in memory of just its size, so that reading past it is detected. */
static struct view
exact(struct view v)
{
	char *p = malloc(v.n > 0 ? v.n : 1);

	if (p == NULL)
		abort();
	if (v.n > 0)
		memcpy(p, v.p, v.n);
	return (struct view){p, v.n};
}

static void
drop(struct view v)
{
	free((void *)(uintptr_t)v.p);
}

/* reason NULL: the text must be accepted. */
static void
check_result(bool good, const struct json_error *e, const char *reason,
    size_t offset, const char *name)
{
	if (reason == NULL) {
		if (!ok(good, "accepted: %s", name))
			printf("# %s at %zu\n", e->reason, e->offset);
		return;
	}
	if (!ok(!good, "refused: %s", name))
		return;
	is_str(e->reason, reason, "the reason: %s", name);
	if (!ok(e->offset == offset, "the offset: %s", name))
		printf("# got %zu, wanted %zu\n", e->offset, offset);
}

static void
check_read(
    struct view text, const char *reason, size_t offset, const char *name)
{
	struct json_error e = {"", 0};
	struct view v = exact(text);
	bool good = json_read_object(&reader, v, &e);

	check_result(good, &e, reason, offset, name);
	drop(v);
}

static void
check_storable(struct view text, bool unique, const char *reason, size_t offset,
    const char *name)
{
	struct json_error e = {"", 0};
	struct view v = exact(text);
	bool good = json_storable(v, JSON_STORE_DEPTH, unique, &e);

	check_result(good, &e, reason, offset, name);
	drop(v);
}

/* Text about which both functions agree. */
struct judged {
	struct view text;
	const char *reason;
	size_t offset;
};

#define T(s) \
	{ \
		"" s, sizeof(s) - 1 \
	}
#define CHAR "unexpected character"
#define END  "unexpected end"
#define CTRL "control character in a string"
#define UTF8 "invalid UTF-8"
#define OBJ  "not an object"

static const struct judged texts[] = {
    {T("{}"), NULL, 0},
    {T(" \t\r\n{ \t\r\n} \t\r\n"), NULL, 0},
    {T("{\"a\":1}"), NULL, 0},
    {T("{ \"a\" : [ 1 , { } , [ ] , \"x\" ] , \"b\" : null }\r"), NULL, 0},
    {T("{\"\":\"\"}"), NULL, 0},
    {T("{\"a\":{\"b\":{\"c\":[[[]]]}},\"d\":true,\"e\":false}"), NULL, 0},
    {T("{\"__proto__\":{}}"), NULL, 0},
    /* numbers */
    {T("{\"a\":0}"), NULL, 0},
    {T("{\"a\":-0}"), NULL, 0},
    {T("{\"a\":-0.0e-0}"), NULL, 0},
    {T("{\"a\":1234567890.0987654321E+20}"), NULL, 0},
    {T("{\"a\":123456789012345678901234567890}"), NULL, 0},
    {T("{\"a\":01}"), CHAR, 6},
    {T("{\"a\":-01}"), CHAR, 7},
    {T("{\"a\":00}"), CHAR, 6},
    {T("{\"a\":1.}"), CHAR, 7},
    {T("{\"a\":.5}"), CHAR, 5},
    {T("{\"a\":-.5}"), CHAR, 6},
    {T("{\"a\":+1}"), CHAR, 5},
    {T("{\"a\":-}"), CHAR, 6},
    {T("{\"a\":--1}"), CHAR, 6},
    {T("{\"a\":1e}"), CHAR, 7},
    {T("{\"a\":1e+}"), CHAR, 8},
    {T("{\"a\":1.e1}"), CHAR, 7},
    {T("{\"a\":1e1.5}"), CHAR, 8},
    {T("{\"a\":1.2.3}"), CHAR, 8},
    {T("{\"a\":0x1}"), CHAR, 6},
    {T("{\"a\":1_000}"), CHAR, 6},
    {T("{\"a\":1 000}"), CHAR, 7},
    {T("{\"a\":NaN}"), CHAR, 5},
    {T("{\"a\":Infinity}"), CHAR, 5},
    {T("{\"a\":-Infinity}"), CHAR, 6},
    {T("{\"a\":\357\274\221}"), CHAR, 5},
    {T("{\"a\":-"), END, 6},
    {T("{\"a\":1"), END, 6},
    {T("{\"a\":1."), END, 7},
    {T("{\"a\":1e"), END, 7},
    {T("{\"a\":1e-"), END, 8},
    /* literals */
    {T("{\"a\":tru}"), CHAR, 8},
    {T("{\"a\":truE}"), CHAR, 8},
    {T("{\"a\":True}"), CHAR, 5},
    {T("{\"a\":nulll}"), CHAR, 9},
    {T("{\"a\":nope}"), CHAR, 6},
    {T("{\"a\":fals}"), CHAR, 9},
    {T("{\"a\":nul"), END, 8},
    {T("{\"a\":undefined}"), CHAR, 5},
    /* structure */
    {T(""), END, 0},
    {T(" "), END, 1},
    {T(" \t\n\r"), END, 4},
    {T("{"), END, 1},
    {T("}"), CHAR, 0},
    {T("{]"), CHAR, 1},
    {T("{\"a\":[}"), CHAR, 6},
    {T("{\"a\":[1}"), CHAR, 7},
    {T("{\"a\":[1}]"), CHAR, 7},
    {T("{\"a\":{]}"), CHAR, 6},
    {T("{\"a\"}"), CHAR, 4},
    {T("{\"a\":}"), CHAR, 5},
    {T("{\"a\":1,}"), CHAR, 7},
    {T("{\"a\":[1,]}"), CHAR, 8},
    {T("{\"a\":[,1]}"), CHAR, 6},
    {T("{\"a\":[,]}"), CHAR, 6},
    {T("{\"a\":[1,,2]}"), CHAR, 8},
    {T("{,}"), CHAR, 1},
    {T("{,\"a\":1}"), CHAR, 1},
    {T("{\"a\":1,,\"b\":2}"), CHAR, 7},
    {T("{\"a\":\"b\":\"c\"}"), CHAR, 8},
    {T("{\"a\" \"b\"}"), CHAR, 5},
    {T("{\"a\",\"b\"}"), CHAR, 4},
    {T("{\"a\":::\"b\"}"), CHAR, 5},
    {T(",:{}:,"), CHAR, 0},
    {T("{\"a\":[1 \"b\"]}"), CHAR, 8},
    {T("{\"a\":[1:2]}"), CHAR, 7},
    {T("{\"a\":1 \"b\":2}"), CHAR, 7},
    {T("{1:2}"), CHAR, 1},
    {T("{a:2}"), CHAR, 1},
    {T("{null:2}"), CHAR, 1},
    {T("{'a':2}"), CHAR, 1},
    {T("{[]:1}"), CHAR, 1},
    {T("{{}:1}"), CHAR, 1},
    {T("{\"a\":1"), END, 6},
    {T("{\"a\":1,"), END, 7},
    {T("{\"a\":"), END, 5},
    {T("{\"a\""), END, 4},
    {T("{\"a\":[1"), END, 7},
    {T("{\"a\":[1,"), END, 8},
    {T("{\"a\":1}}"), CHAR, 7},
    {T("{\"a\":1}]"), CHAR, 7},
    {T("{\"a\":1},"), CHAR, 7},
    {T("{}{}"), CHAR, 2},
    {T("{} {}"), CHAR, 3},
    {T("{}\n1"), CHAR, 3},
    {T("{}x"), CHAR, 2},
    {T("{}/**/"), CHAR, 2},
    {T("{\"a\":/**/1}"), CHAR, 5},
    {T("{}#"), CHAR, 2},
    {T("{}\0"), CHAR, 2},
    {T("{\"a\":1}\0junk"), CHAR, 7},
    {T("{\0}"), CHAR, 1},
    {T("\0{}"), CHAR, 0},
    {T("{\"a\":1\0}"), CHAR, 6},
    {T("{\v}"), CHAR, 1},
    {T("{\f}"), CHAR, 1},
    {T("{\302\240}"), CHAR, 1},
    {T("{\342\200\250}"), CHAR, 1},
    {T("\357\273\277{}"), "byte-order mark", 0},
    {T("\357\273"), CHAR, 0},
    {T("{}\357\273\277"), CHAR, 2},
    {T("\377\376{\0}\0"), CHAR, 0},
    {T("\376\377\0{\0}"), CHAR, 0},
    {T("{\0\"\0a\0\"\0"), CHAR, 1},
    /* strings */
    {T("{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\u00E4\"}"), NULL, 0},
    {T("{\"a\":\"\\u0001\\uD83D\\ude00\\uFFFF\"}"), NULL, 0},
    {T("{\"a\":\"\177 \303\244 \342\202\254 \360\237\230\200\"}"), NULL, 0},
    {T("{\"\303\244\\n\":1}"), NULL, 0},
    {T("{\"a\":\"\357\273\277\"}"), NULL, 0},
    {T("{\"a\":\"\\\\u0000\"}"), NULL, 0},
    {T("{\"a\":\"\\\\\\\\\"}"), NULL, 0},
    {T("{\"a\":'x'}"), CHAR, 5},
    {T("{\"a\":\"\\x41\"}"), "unknown escape", 6},
    {T("{\"a\":\"\\a\"}"), "unknown escape", 6},
    {T("{\"a\":\"\\'\"}"), "unknown escape", 6},
    {T("{\"a\":\"\\U0041\"}"), "unknown escape", 6},
    {T("{\"a\":\"\\0\"}"), "unknown escape", 6},
    {T("{\"a\":\"\\\0\"}"), "unknown escape", 6},
    {T("{\"a\":\"\\\303\244\"}"), "unknown escape", 6},
    {T("{\"a\":\"\\\n\"}"), "unknown escape", 6},
    {T("{\"a\":\"\\u\"}"), CHAR, 8},
    {T("{\"a\":\"\\u00A\"}"), CHAR, 11},
    {T("{\"a\":\"\\u00G0\"}"), CHAR, 10},
    {T("{\"a\":\"\\u+041\"}"), CHAR, 8},
    {T("{\"a\":\"\\u 041\"}"), CHAR, 8},
    {T("{\"a\":\"\\u00"), END, 10},
    {T("{\"a\":\"\\u"), END, 8},
    {T("{\"a\":\"\\"), END, 7},
    {T("{\"a\":\"\\\"}"), END, 9},
    {T("{\"a\":\"x"), END, 7},
    {T("{\"a\":\""), END, 6},
    {T("{\"a"), END, 3},
    {T("{\""), END, 2},
    {T("{\"a\":\"longer than a word\tx\"}"), CTRL, 24},
    {T("{\"a\":\"\n\"}"), CTRL, 6},
    {T("{\"a\":\"\r\"}"), CTRL, 6},
    {T("{\"a\":\"\0\"}"), CTRL, 6},
    {T("{\"a\":\"\1\"}"), CTRL, 6},
    {T("{\"a\":\"\37\"}"), CTRL, 6},
    {T("{\"a\n\":1}"), CTRL, 3},
    /* UTF-8 */
    {T("{\"a\":\"\200\"}"), UTF8, 6},
    {T("{\"a\":\"\377\"}"), UTF8, 6},
    {T("{\"a\":\"\376\"}"), UTF8, 6},
    {T("{\"a\":\"\300\200\"}"), UTF8, 6},
    {T("{\"a\":\"\300\257\"}"), UTF8, 6},
    {T("{\"a\":\"\340\200\257\"}"), UTF8, 6},
    {T("{\"a\":\"\360\200\200\257\"}"), UTF8, 6},
    {T("{\"a\":\"\355\240\200\"}"), UTF8, 6},
    {T("{\"a\":\"\355\277\277\"}"), UTF8, 6},
    {T("{\"a\":\"\355\240\275\355\270\200\"}"), UTF8, 6},
    {T("{\"a\":\"\364\220\200\200\"}"), UTF8, 6},
    {T("{\"a\":\"\303\"}"), UTF8, 6},
    {T("{\"a\":\"\342\202\"}"), UTF8, 6},
    {T("{\"a\":\"\360\237\230\"}"), UTF8, 6},
    {T("{\"a\":\"\351t\351\"}"), UTF8, 6},
    {T("{\"a\":\"x\303\244\342\202\254\360\237\230\200\303\"}"), UTF8, 16},
    {T("{\"a\":\"\303\244\303\244\244\"}"), UTF8, 10},
    {T("{\"a\":\"\303"), UTF8, 6},
    {T("{\"\377\":1}"), UTF8, 2},
};

static void
test_texts(void)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		const struct judged *t = &texts[i];
		char name[100];

		snprintf(name, sizeof(name), "read %.*s", VIEW_FMT(t->text));
		check_read(t->text, t->reason, t->offset, name);
		snprintf(name, sizeof(name), "store %.*s", VIEW_FMT(t->text));
		check_storable(t->text, true, t->reason, t->offset, name);
	}
}

static void
test_not_objects(void)
{
	static const struct view values[] = {T("1"), T("\"a\""), T("true"),
	    T("null"), T("[]"), T("[{\"a\":1}]"), T("-0.5e+7")};

	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		check_read(values[i], OBJ, 0, values[i].p);
		check_storable(values[i], true, NULL, 0, values[i].p);
	}
	check_read(VIEW_LIT(" \t[1]"), OBJ, 2, "space and an array");
	check_read(VIEW_NULL, END, 0, "a null view");
	check_storable(VIEW_NULL, true, END, 0, "a null view");
}

/* Every prefix of a good line is refused, at its end. */
static void
test_cut(void)
{
	static const char line[] =
	    "{\"a\":[1,-2.5e+3,\"x\\n\\u00e4\",{\"b\":true}],\"c\":null}";
	struct json_error e;
	bool good = true;

	for (size_t n = 0; n < sizeof(line) - 1; n++) {
		struct view v = exact((struct view){line, n});

		good &= !json_read_object(&reader, v, &e) &&
		    strcmp(e.reason, END) == 0 && e.offset == n;
		drop(v);
	}
	ok(good, "every prefix of a line is refused at its end");
}

static const struct {
	const char *key, *value;
	enum json_kind kind;
} members[] = {
    {"a", "1", JSON_NUMBER},
    {"b\\n\\\"", "\"x\\\"y\"", JSON_STRING},
    {"", "\"\"", JSON_STRING},
    {"a", "-0.5e7", JSON_NUMBER},
    {"c", "{}", JSON_OBJECT},
    {"d", "{\"a\":{\"b\":[1,{}]},\"c\":\"}\"}", JSON_OBJECT},
    {"e", "[]", JSON_ARRAY},
    {"f", "[[1,2],[],[{\"x\" : [ ]}] ]", JSON_ARRAY},
    {"g", "true", JSON_BOOL},
    {"h", "false", JSON_BOOL},
    {"i", "null", JSON_NULL},
    {"\303\244", "\"\303\244\"", JSON_STRING},
};

#define NMEMBERS (sizeof(members) / sizeof(*members))

static void
test_members(const char *between)
{
	struct buf text = BUF_INIT;
	struct json_error e;

	buf_adds(&text, between);
	buf_addc(&text, '{');
	for (size_t i = 0; i < NMEMBERS; i++)
		buf_addf(&text, "%s%s\"%s\"%s:%s%s%s", i > 0 ? "," : "",
		    between, members[i].key, between, between, members[i].value,
		    between);
	buf_addc(&text, '}');
	buf_adds(&text, between);
	if (!ok(json_read_object(&reader, buf_view(&text), &e), "members")) {
		buf_release(&text);
		return;
	}
	ok(reader.members.n == NMEMBERS, "the number of members");
	for (size_t i = 0; i < NMEMBERS && i < reader.members.n; i++) {
		const struct json_member *m = &reader.members.a[i];

		is_view(m->key, view_of(members[i].key), "key %zu", i);
		is_view(m->value, view_of(members[i].value), "value %zu", i);
		ok(m->kind == members[i].kind, "kind %zu", i);
		ok(m->key.p >= text.data && m->key.p < text.data + text.len,
		    "a view into the text %zu", i);
	}
	buf_release(&text);
}

static void
test_reuse(void)
{
	struct json_error e;

	ok(json_read_object(&reader, VIEW_LIT("{}"), &e) &&
		reader.members.n == 0,
	    "no members");
	ok(json_read_object(&reader, VIEW_LIT("{\"a\":1}"), &e) &&
		reader.members.n == 1,
	    "one member after none");
	ok(!json_read_object(&reader, VIEW_LIT("{\"a\":1,}"), &e) &&
		reader.members.n == 0,
	    "none after an error");
	json_reader_release(&reader);
	ok(json_read_object(&reader, VIEW_LIT("{\"a\":1}"), &e) &&
		reader.members.n == 1,
	    "one after a release");
}

static void
add_times(struct buf *b, const char *s, size_t n)
{
	while (n-- > 0)
		buf_adds(b, s);
}

/* depth levels in all: the object, and what is in it. */
static struct view
nested(struct buf *b, const char *open, const char *close, size_t depth)
{
	buf_clear(b);
	buf_adds(b, "{\"a\":");
	add_times(b, open, depth - 1);
	buf_addc(b, '1');
	add_times(b, close, depth - 1);
	buf_addc(b, '}');
	return buf_view(b);
}

static void
test_depth(void)
{
	struct buf b = BUF_INIT;

	check_read(nested(&b, "[", "]", 512), NULL, 0, "arrays 512 deep");
	check_read(nested(&b, "[", "]", 513), "nested too deep", 516,
	    "arrays 513 deep");
	check_read(
	    nested(&b, "{\"a\":", "}", 512), NULL, 0, "objects 512 deep");
	check_read(nested(&b, "{\"a\":", "}", 513), "nested too deep", 2560,
	    "objects 513 deep");
	check_storable(
	    nested(&b, "[", "]", 256), true, NULL, 0, "arrays 256 deep");
	check_storable(nested(&b, "[", "]", 257), false, "nested too deep", 260,
	    "arrays 257 deep");
	check_storable(
	    nested(&b, "{\"a\":", "}", 256), true, NULL, 0, "objects 256 deep");
	check_storable(nested(&b, "{\"a\":", "}", 257), true, "nested too deep",
	    1280, "objects 257 deep");
	buf_clear(&b);
	add_times(&b, "[", 100000);
	check_read(
	    buf_view(&b), "nested too deep", 512, "100000 opening brackets");
	buf_clear(&b);
	add_times(&b, "[{\"\":", 50000);
	check_read(buf_view(&b), "nested too deep", 5 * 256,
	    "100000 alternating openings");
	buf_clear(&b);
	buf_addc(&b, '{');
	add_times(&b, "}", 100000);
	check_read(buf_view(&b), CHAR, 2, "100000 closing braces");
	/* closing a level must make room for another */
	buf_clear(&b);
	buf_adds(&b, "{\"a\":[1");
	add_times(&b, ",[],{}", 100000);
	buf_adds(&b, "]}");
	check_read(buf_view(&b), NULL, 0, "100000 empty neighbours");
	check_storable(buf_view(&b), true, NULL, 0, "100000 empty neighbours");
	buf_release(&b);
}

static void
test_many_members(void)
{
	struct buf b = BUF_INIT;
	struct json_error e;

	buf_addc(&b, '{');
	for (int i = 0; i < 100000; i++)
		buf_addf(&b, "%s\"key number %d\":{\"a\":[%d]}",
		    i > 0 ? "," : "", i, i);
	buf_addc(&b, '}');
	ok(json_read_object(&reader, buf_view(&b), &e) &&
		reader.members.n == 100000,
	    "100000 members");
	is_view(reader.members.a[99999].key, VIEW_LIT("key number 99999"),
	    "the last key");
	is_view(reader.members.a[99999].value, VIEW_LIT("{\"a\":[99999]}"),
	    "the last value");
	check_storable(buf_view(&b), true, NULL, 0, "100000 different keys");
	b.len--;
	buf_adds(&b, ",\"key number 500\":1}");
	check_storable(buf_view(&b), true, "duplicate key", b.len - 18,
	    "one of 100000 keys twice");
	check_storable(
	    buf_view(&b), false, NULL, 0, "one of 100000 keys twice, allowed");
	buf_release(&b);
}

static const struct {
	struct view raw, decoded;
} escapes[] = {
    {T(""), T("")},
    {T("plain"), T("plain")},
    {T("\\\""), T("\"")},
    {T("\\\\"), T("\\")},
    {T("\\/"), T("/")},
    {T("\\b\\f\\n\\r\\t"), T("\b\f\n\r\t")},
    {T("\\u0000"), T("\0")},
    {T("a\\u0041b"), T("aAb")},
    {T("\\u007f\\u0080"), T("\177\302\200")},
    {T("\\u00e4\\u00E4"), T("\303\244\303\244")},
    {T("\\u07ff\\u0800"), T("\337\277\340\240\200")},
    {T("\\ud7ff\\ue000\\uFFFF"), T("\355\237\277\356\200\200\357\277\277")},
    {T("\\ud800\\udc00"), T("\360\220\200\200")},
    {T("\\uD83D\\uDE00!"), T("\360\237\230\200!")},
    {T("\\udbff\\udfff"), T("\364\217\277\277")},
    {T("\\\\u0000"), T("\\u0000")},
    {T("\\\\\\u0041\\\\n"), T("\\A\\n")},
    {T("\303\244\\n\303\244"), T("\303\244\n\303\244")},
};

/* Lone surrogates, and where they stand. */
static const struct {
	struct view raw;
	size_t offset;
} halves[] = {
    {T("\\ud800"), 0},
    {T("\\udc00"), 0},
    {T("\\udfff\\ud800"), 0},
    {T("ab\\ud800cdefghij"), 2},
    {T("\\ud800\\n"), 0},
    {T("\\ud800\\ud800"), 0},
    {T("\\ud800\\u0041"), 0},
    {T("\\ud800\\ue000"), 0},
    {T("\\ud800\\\\udc00"), 0},
    {T("\\ud83d\\ude00\\ude00"), 12},
};

static void
test_unescape(void)
{
	struct buf scratch = BUF_INIT;
	struct json_error e;
	struct view v, raw;

	for (size_t i = 0; i < sizeof(escapes) / sizeof(*escapes); i++) {
		raw = exact(escapes[i].raw);
		v = json_unescape(raw, &scratch, &e);
		is_view(v, escapes[i].decoded, "unescape %s", escapes[i].raw.p);
		ok((v.p == raw.p) ==
			(memchr(escapes[i].raw.p, '\\', raw.n) == NULL),
		    "the raw text itself if it has no escape");
		drop(raw);
	}
	buf_clear(&scratch);
	buf_adds(&scratch, "kept");
	v = json_unescape(VIEW_LIT("\\n"), &scratch, &e);
	is_view(buf_view(&scratch), VIEW_LIT("kept\n"), "appends to scratch");
	ok(v.p == scratch.data + 4, "and points there");
	for (size_t i = 0; i < sizeof(halves) / sizeof(*halves); i++) {
		raw = exact(halves[i].raw);
		v = json_unescape(raw, &scratch, &e);
		check_result(v.p != NULL, &e, "lone surrogate",
		    halves[i].offset, halves[i].raw.p);
		drop(raw);
	}
	buf_reserve(&scratch, SIZE_MAX - 100);
	v = json_unescape(VIEW_LIT("\\n"), &scratch, &e);
	check_result(v.p != NULL, &e, "out of memory", 0, "no memory");
	buf_release(&scratch);
}

static void
test_storable_strings(void)
{
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < sizeof(halves) / sizeof(*halves); i++) {
		buf_clear(&b);
		buf_adds(&b, "{\"a\":\"");
		buf_addv(&b, halves[i].raw);
		buf_adds(&b, "\"}");
		check_read(buf_view(&b), NULL, 0, buf_str(&b));
		check_storable(buf_view(&b), false, "lone surrogate",
		    halves[i].offset + 6, buf_str(&b));
		buf_clear(&b);
		buf_adds(&b, "{\"");
		buf_addv(&b, halves[i].raw);
		buf_adds(&b, "\":1}");
		check_read(buf_view(&b), NULL, 0, buf_str(&b));
		check_storable(buf_view(&b), true, "lone surrogate",
		    halves[i].offset + 2, buf_str(&b));
	}
	buf_release(&b);
	check_storable(VIEW_LIT("\"\\uD83D\\uDE00 \\ud800\\udc00\""), false,
	    NULL, 0, "pairs");
	check_storable(VIEW_LIT("\"ab\\u0000\""), false, "\\u0000 in a string",
	    3, "\\u0000 in a value");
	check_storable(VIEW_LIT("{\"\\u0000\":1}"), true, "\\u0000 in a string",
	    2, "\\u0000 in a key");
	check_storable(
	    VIEW_LIT("\"\\\\u0000\""), false, NULL, 0, "a backslash and u0000");
	check_storable(VIEW_LIT("\"\\\\\\u0000\""), false,
	    "\\u0000 in a string", 3, "a backslash and \\u0000");
	check_storable(VIEW_LIT("\"\\u0001\\u0010\\u0100\\u1000\""), false,
	    NULL, 0, "escapes with three zeros");
	check_storable(VIEW_LIT("\"\\uD83D\\u\""), false, "lone surrogate", 1,
	    "half a pair and a truncated escape");
	check_read(VIEW_LIT("{\"\\uD83D\\u\":1}"), CHAR, 10,
	    "half a pair and a truncated escape");
	check_read(VIEW_LIT("{\"\\u0000\":\"\\u0000\"}"), NULL, 0,
	    "\\u0000 is syntax");
}

/* As PostgreSQL 15 converts them to jsonb, or not. */
static const struct {
	const char *number;
	bool storable;
} numbers[] = {
    {"1e131071", true},
    {"1e131072", false},
    {"1E+131071", true},
    {"1E+131072", false},
    {"-9.9e131071", true},
    {"-9.9e131072", false},
    {"0.001e131074", true},
    {"0.001e131075", false},
    {"10e131070", true},
    {"10e131071", false},
    {"1e-16383", true},
    {"1e-16384", false},
    {"1.5e-16382", true},
    {"1.5e-16383", false},
    {"0.00e-16381", true},
    {"0.00e-16382", false},
    {"0e-16383", true},
    {"0e-16384", false},
    {"0e131072", true},
    {"0e1073741823", false},
    {"0.0e1073741822", true},
    {"-0e1073741823", false},
    {"0e0000000000000000000000000001", true},
    {"1e99999999999999999999", false},
    {"1e-00000000000000000000000000016383", true},
    {"1e-99999999999999999999", false},
    {"1e000000000000000000000000000000131071", true},
    {"1e18446744073709551616", false},
};

static void
check_number(struct view number, bool storable, const char *name)
{
	struct buf b = BUF_INIT;
	const char *reason = storable ? NULL : "number out of range";

	check_storable(number, false, reason, 0, name);
	buf_adds(&b, "{\"a\":[");
	buf_addv(&b, number);
	buf_adds(&b, "]}");
	check_storable(buf_view(&b), true, reason, 6, name);
	check_read(buf_view(&b), NULL, 0, name);
	buf_release(&b);
}

/* The range of numeric: 131072 digits before the point, 16383 after it. */
static void
check_digits(size_t zeros, size_t whole, size_t fraction, const char *tail,
    bool storable)
{
	struct buf b = BUF_INIT;
	char name[100];

	buf_addc(&b, '-');
	add_times(&b, "9", whole);
	if (whole == 0)
		buf_addc(&b, '0');
	if (zeros + fraction > 0)
		buf_addc(&b, '.');
	add_times(&b, "0", zeros);
	add_times(&b, "1", fraction);
	buf_adds(&b, tail);
	snprintf(name, sizeof(name), "%zu digits, point, %zu zeros, %zu, %s",
	    whole, zeros, fraction, tail);
	check_number(buf_view(&b), storable, name);
	buf_release(&b);
}

static void
test_storable_numbers(void)
{
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		check_number(view_of(numbers[i].number), numbers[i].storable,
		    numbers[i].number);
	check_digits(0, 131072, 0, "", true);
	check_digits(0, 131073, 0, "", false);
	check_digits(0, 131072, 16383, "", true);
	check_digits(0, 131072, 16384, "", false);
	check_digits(0, 131073, 1, "e-1", true);
	check_digits(0, 131074, 1, "e-1", false);
	check_digits(0, 0, 16383, "", true);
	check_digits(0, 0, 16384, "", false);
	check_digits(0, 0, 16384, "e1", true);
	check_digits(0, 0, 16385, "e1", false);
	check_digits(16383, 0, 0, "", true);
	check_digits(16384, 0, 0, "", false);
	check_digits(16384, 0, 0, "e1", true);
	check_digits(200000, 0, 1, "e200000", true);
	check_digits(200000, 0, 1, "e331072", true);
	check_digits(200000, 0, 1, "e331073", false);
}

static const struct judged keys[] = {
    {T("{\"a\":1,\"b\":2}"), NULL, 0},
    {T("{\"a\":1,\"a\":1}"), "duplicate key", 8},
    {T("{\"\":1,\"\":1}"), "duplicate key", 7},
    {T("{\"\":1,\"a\":1}"), NULL, 0},
    {T("{\"a\":1,\"A\":1}"), NULL, 0},
    {T("{\"a\":1,\"\\u0061\":1}"), "duplicate key", 8},
    {T("{\"\\u0061\":1,\"a\":1}"), "duplicate key", 13},
    {T("{\"\\u0061\":1,\"\\u0061\":1}"), "duplicate key", 13},
    {T("{\"\\/\":1,\"/\":1}"), "duplicate key", 9},
    {T("{\"\\\\u0061\":1,\"a\":1}"), NULL, 0},
    {T("{\"\303\244\":1,\"\\u00e4\":1}"), "duplicate key", 9},
    {T("{\"\\ud83d\\ude00\":1,\"\360\237\230\200\":1}"), "duplicate key", 19},
    /* composed and decomposed are two keys */
    {T("{\"\303\251\":1,\"e\314\201\":1}"), NULL, 0},
    {T("[{\"a\":1},{\"a\":1}]"), NULL, 0},
    {T("{\"a\":{\"a\":{\"a\":1}}}"), NULL, 0},
    {T("{\"b\":{\"a\":1},\"a\":1}"), NULL, 0},
    {T("{\"a\":{\"b\":1},\"b\":{\"a\":1}}"), NULL, 0},
    {T("{\"b\":{\"a\":1,\"a\":2},\"c\":1}"), "duplicate key", 13},
    {T("{\"a\":{\"b\":1},\"a\":1}"), "duplicate key", 14},
    {T("{\"a\":[{},{\"b\":1}],\"a\":1}"), "duplicate key", 19},
    {T("[[{\"x\":[{\"y\":1,\"z\":2,\"y\":3}]}]]"), "duplicate key", 22},
    {T("{\"a\":[{\"\\u0062\":1}],\"\\u0063\":{\"b\":1},\"c\":1}"),
	"duplicate key", 38},
    {T("{\"longer key 1\":1,\"longer key 2\":1}"), NULL, 0},
    {T("{\"longer key 1\":1,\"longer key 1\":1}"), "duplicate key", 19},
    {T("{\"longer k\":1,\"longer ke\":1}"), NULL, 0},
    {T("{\"abcdefgh\":1,\"abcdefgi\":1}"), NULL, 0},
    {T("{\"a\\u0001\":1,\"a\":1}"), NULL, 0},
};

static void
test_unique_keys(void)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		check_storable(keys[i].text, true, keys[i].reason,
		    keys[i].offset, keys[i].text.p);
		check_storable(keys[i].text, false, NULL, 0, keys[i].text.p);
	}
}

/* Objects of every size around the one from which keys are sorted. */
static void
test_unique_key_counts(void)
{
	struct buf b = BUF_INIT;
	struct json_error e;
	bool good = true, found = true;

	for (int n = 1; n <= 40; n++)
		for (int twin = 0; twin <= n; twin++) {
			buf_clear(&b);
			buf_addc(&b, '{');
			for (int i = 0; i < n; i++)
				buf_addf(&b, "\"\\u0078 a key %d\":[{}],",
				    i * 7 % 41);
			buf_addf(&b, "\"x a key %d\":0}",
			    twin < n ? twin * 7 % 41 : 41);
			if (twin == n)
				good &= json_storable(
				    buf_view(&b), JSON_STORE_DEPTH, true, &e);
			else
				found &= !json_storable(buf_view(&b),
					     JSON_STORE_DEPTH, true, &e) &&
				    b.data[e.offset - 1] == '"' &&
				    b.data[e.offset] == 'x';
		}
	ok(good, "1 to 40 different keys");
	ok(found, "each of 1 to 40 keys twice");
	buf_release(&b);
}

int
main(void)
{
	test_texts();
	test_not_objects();
	test_cut();
	test_members("");
	test_members(" \t\r\n");
	test_reuse();
	test_depth();
	test_many_members();
	test_unescape();
	test_storable_strings();
	test_storable_numbers();
	test_unique_keys();
	test_unique_key_counts();
	json_reader_release(&reader);
	return done_testing();
}
