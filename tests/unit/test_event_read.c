#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../fuzz/same.h"
#include "base/json_write.h"
#include "base/lsn.h"
#include "base/utf8.h"
#include "stream/event_read.h"
#include "stream/event_write.h"
#include "tap.h"
#include "writer/history.h"

/*
 * JSON in this file is written with ' for ", and ^ before the byte where a
 * refusal is expected.
 */
#define NAMES "'source_id':'s','schema_name':'p','table_name':'t',"
#define REST \
	"'operation':'INSERT','lsn':'0/1'," \
	"'event_time':'2000-01-01T00:00:00Z'"
#define EVENT NAMES REST

static struct event_reader reader;
static struct stream_line got;
static struct line_error why;
static char *line; /* of the last get: exactly its bytes, no NUL */

static bool
get(struct view text)
{
	free(line);
	line = malloc(text.n > 0 ? text.n : 1);
	if (line == NULL)
		abort();
	if (text.n > 0)
		memcpy(line, text.p, text.n);
	return event_read(&reader, (struct view){line, text.n}, &got, &why);
}

/* Appends quoted as JSON; returns the offset of its ^, or 0. */
static size_t
unquote(struct buf *b, const char *quoted)
{
	size_t at = 0;

	for (const char *c = quoted; *c != '\0'; c++) {
		if (*c == '^')
			at = b->len;
		else
			buf_addc(b, *c == '\'' ? '"' : *c);
	}
	return at;
}

static bool
get_quoted(const char *quoted)
{
	struct buf b = BUF_INIT;
	bool good;

	unquote(&b, quoted);
	good = get(buf_view(&b));
	buf_release(&b);
	return good;
}

static void
is_refused(const char *quoted, const char *reason, const char *key)
{
	struct buf b = BUF_INIT;
	size_t at = unquote(&b, quoted);

	if (ok(!get(buf_view(&b)), "refused: %s", quoted)) {
		is_str(why.reason, reason, "- its reason");
		ok(why.offset == at, "- its offset %zu, got %zu", at,
		    why.offset);
		is_view(why.key, view_of(key), "- its key");
	}
	buf_release(&b);
}

/* Random values */

static uint64_t state;

static uint64_t
rnd(uint64_t below)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

static void
add_utf8(struct buf *b, uint64_t c)
{
	static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	buf_addc(b, (char)(lead[n] | c >> (6 * (n - 1))));
	for (size_t i = 1; i < n; i++)
		buf_addc(b, (char)(0x80 | (c >> (6 * (n - 1 - i)) & 0x3f)));
}

static void
add_text(struct buf *b, size_t min)
{
	static const uint64_t low[] = {1, 1, 0x80, 0x800, 0xe000, 0x10000},
			      high[] = {
				  0x20, 0x80, 0x800, 0xd800, 0x10000, 0x110000};

	for (size_t n = min + rnd(20); n > 0; n--) {
		size_t r = rnd(6);

		add_utf8(b, low[r] + rnd(high[r] - low[r]));
	}
}

static void
add_string(struct buf *b)
{
	static const char *const odd[] = {"\"\"", "\"\\/\"", "\"\\u00e9\"",
	    "\"\\ud83d\\uDE00\"", "\"\\u0001\\b\\\\\"", "\"^'\""};
	struct buf text = BUF_INIT;

	if (rnd(3) == 0) {
		buf_adds(b, odd[rnd(6)]);
		return;
	}
	add_text(&text, 0);
	json_write_string(b, buf_view(&text));
	buf_release(&text);
}

/* The i-th key of an object, different from the others. */
static void
add_key(struct buf *b, size_t i)
{
	size_t at = b->len + 1;

	add_string(b);
	buf_adds(b, ": ");
	memmove(b->data + at + 1, b->data + at, b->len - at - 1);
	b->data[at] = (char)('0' + i);
}

/* An array of strings, or a null view. */
static struct view
add_names(struct buf *b)
{
	if (rnd(4) == 0)
		return VIEW_NULL;
	buf_addc(b, '[');
	for (size_t n = rnd(4), i = 0; i < n; i++) {
		buf_adds(b, i > 0 ? " ,\t" : "");
		add_string(b);
	}
	buf_addc(b, ']');
	return buf_view(b);
}

static void
add_json(struct buf *b, char open, int depth)
{
	static const char *const plain[] = {"null", "true", "false", "0", "-0",
	    "12.50", "1e5", "-1E-7", "123456789012345678901234567890"};
	size_t n = rnd(4);

	if (open == '\0')
		open = depth < 4 ? "{[\"0"[rnd(4)] : '0';
	if (open == '"') {
		add_string(b);
	} else if (open == '0') {
		buf_adds(b, plain[rnd(9)]);
	} else {
		buf_addc(b, open);
		for (size_t i = 0; i < n; i++) {
			buf_adds(b, i > 0 ? "," : "");
			if (open == '{')
				add_key(b, i);
			buf_adds(b, depth > 0 && rnd(4) == 0 ? " \t" : "");
			add_json(b, '\0', depth + 1);
		}
		buf_addc(b, open == '{' ? '}' : ']');
	}
}

/* The texts of an event, and the event made of them. */
enum { SOURCE, SCHEMA, TABLE, LSN, KEYS, BEFORE, AFTER, METADATA, TEXTS };

static struct view
json_or_null(struct buf *b, char open)
{
	if (rnd(4) == 0)
		return VIEW_NULL;
	add_json(b, open, 0);
	return buf_view(b);
}

static struct event
random_event(struct buf text[TEXTS])
{
	static const char *const operations[] = {
	    "INSERT", "UPDATE", "DELETE", "TRUNCATE", "MESSAGE"};
	struct event e = {0};

	for (int i = 0; i < TEXTS; i++)
		buf_clear(&text[i]);
	add_text(&text[SOURCE], 1);
	add_text(&text[SCHEMA], 0);
	add_text(&text[TABLE], 0);
	buf_adds(&text[LSN], lsn_text(rnd(UINT64_MAX) >> rnd(64)).s);
	e.source_id = buf_view(&text[SOURCE]);
	e.schema_name = buf_view(&text[SCHEMA]);
	e.table_name = buf_view(&text[TABLE]);
	e.lsn = buf_view(&text[LSN]);
	e.operation = view_of(operations[rnd(5)]);
	e.has_transaction_id = rnd(4) > 0;
	if (e.has_transaction_id)
		e.transaction_id = (int64_t)(rnd(INT64_MAX) >> rnd(63));
	if (rnd(4) > 0) {
		e.commit_lsn = (rnd(UINT64_MAX) >> rnd(64)) | 1;
		e.seq = 1 + (rnd(INT64_MAX) >> rnd(63));
	}
	e.key_columns = add_names(&text[KEYS]);
	e.before_data = json_or_null(&text[BEFORE], '{');
	e.after_data = json_or_null(&text[AFTER], '{');
	e.metadata = json_or_null(&text[METADATA], '{');
	/* metadata without other members is null beside an identity */
	if (e.seq != 0 && e.metadata.n == 2)
		e.metadata = VIEW_NULL;
	/* PostgreSQL's range, but for the first years */
	e.event_time = (int64_t)(rnd(UINT64_C(9423371331200000000)) -
	    UINT64_C(200000000000000000));
	return e;
}

/* Does the event come back?  On failure shows its line. */
static bool
comes_back(const struct event *e)
{
	struct event wanted = *e;
	struct buf b = BUF_INIT;
	bool good;

	event_write(&b, e);
	wanted.id = wanted.created_at = 0;
	good = b.len > 0 && memchr(b.data, '\n', b.len) == b.data + b.len - 1;
	b.len -= good;
	good = good && get(buf_view(&b)) && got.kind == LINE_EVENT &&
	    same_event(&got.event, &wanted);
	if (!good)
		tap_show("line", buf_view(&b));
	buf_release(&b);
	return good;
}

static void
test_inverse(void)
{
	struct buf text[TEXTS] = {BUF_INIT};
	struct event e;
	bool good = true;

	for (int i = 0; i < 20000 && good; i++) {
		e = random_event(text);
		if (rnd(4) == 0) {
			e.id = 1 + (int64_t)rnd(INT64_MAX);
			e.created_at = e.event_time;
		}
		good = comes_back(&e);
	}
	ok(good, "get is the inverse of put for random events");

	/* every byte that UTF-8 has: 01 to 7F, 80 to BF, C2 to F4 */
	buf_clear(&text[SOURCE]);
	for (uint64_t c = 1; c < 0x800; c++)
		add_utf8(&text[SOURCE], c);
	for (uint64_t c = 0x800; c < 0x110000; c += c < 0xd000 ? 0x7c1 : 0x3fc1)
		add_utf8(&text[SOURCE], c < 0xd800 || c > 0xdfff ? c : 0xfffd);
	e.schema_name = e.table_name = buf_view(&text[SOURCE]);
	e.source_id = utf8_clip(e.table_name, 512);
	ok(comes_back(&e), "names of every byte");
	e.event_time = INT64_MAX;
	ok(comes_back(&e), "an infinite time");
	e.metadata = VIEW_NULL;
	e.seq = INT64_MAX;
	e.commit_lsn = UINT64_MAX;
	e.transaction_id = INT64_MAX;
	e.has_transaction_id = true;
	ok(comes_back(&e), "the greatest numbers");
	for (int i = 0; i < TEXTS; i++)
		buf_release(&text[i]);
}

static void
test_put(void)
{
	struct event e = {
	    .source_id = VIEW_LIT("shop"),
	    .schema_name = VIEW_LIT("public"),
	    .table_name = VIEW_LIT("or\"ders"),
	    .operation = VIEW_LIT("UPDATE"),
	    .lsn = VIEW_LIT("0/1A2B3C4"),
	    .transaction_id = 742,
	    .has_transaction_id = true,
	    .commit_lsn = 0x1a2b400,
	    .seq = 3,
	    .key_columns = VIEW_LIT("[\"id\"]"),
	    .after_data = VIEW_LIT("{\"amount\":12.50}"),
	    .event_time = 848,
	};
	struct buf b = BUF_INIT, wanted = BUF_INIT;

	event_write(&b, &e);
	unquote(&wanted,
	    "{'source_id':'shop','schema_name':'public',"
	    "'table_name':'or\\'ders','operation':'UPDATE','lsn':'0/1A2B3C4',"
	    "'transaction_id':742,'key_columns':['id'],'before_data':null,"
	    "'after_data':{'amount':12.50},"
	    "'event_time':'2000-01-01T00:00:00.000848Z',"
	    "'metadata':{'commit_lsn':'0/1A2B400','seq':3}}\n");
	is_view(buf_view(&b), buf_view(&wanted), "an event as a line");

	buf_clear(&b);
	buf_clear(&wanted);
	e = (struct event){.id = 7,
	    .source_id = VIEW_LIT("s"),
	    .schema_name = VIEW_LIT(""),
	    .table_name = VIEW_LIT(""),
	    .operation = VIEW_LIT("MESSAGE"),
	    .lsn = VIEW_LIT("0/0"),
	    .metadata = VIEW_LIT("{\"a\":1}"),
	    .created_at = -1};
	event_write(&b, &e);
	unquote(&wanted,
	    "{'id':7,'source_id':'s','schema_name':'','table_name':'',"
	    "'operation':'MESSAGE','lsn':'0/0','transaction_id':null,"
	    "'key_columns':null,'before_data':null,'after_data':null,"
	    "'event_time':'2000-01-01T00:00:00.000000Z',"
	    "'metadata':{'a':1},'created_at':'1999-12-31T23:59:59.999999Z'}\n");
	is_view(buf_view(&b), buf_view(&wanted), "a stored one");
	buf_release(&b);
	buf_release(&wanted);
}

static void
test_accepted(void)
{
	ok(get_quoted("{" EVENT "}"), "only the required members");
	ok(!got.event.has_transaction_id && got.event.seq == 0 &&
		got.event.key_columns.p == NULL &&
		got.event.before_data.p == NULL &&
		got.event.after_data.p == NULL && got.event.metadata.p == NULL,
	    "- the rest is null");
	ok(get_quoted(" {\t" EVENT " } \r"), "white space around it");
	ok(get_quoted("{" REST "," NAMES "'id':12,'created_at':'x',"
		      "'processed_at':null}"),
	    "another order, and columns of a stored event");
	ok(got.event.id == 0 && got.event.created_at == 0, "- ignored");
	is_view(got.event.source_id, VIEW_LIT("s"), "- the others are read");
	ok(get_quoted("{" EVENT ",'metadata':{'a':[1, 2],'seq':9,'b':{},"
		      "'commit_lsn':'A/B','c':null}}"),
	    "the identity among other metadata");
	ok(got.event.seq == 9 && got.event.commit_lsn == UINT64_C(0xA0000000B),
	    "- is taken out");
	is_view(got.event.metadata,
	    VIEW_LIT("{\"a\":[1, 2],\"b\":{},\"c\":null}"), "- the rest stays");
	ok(get_quoted("{" EVENT ",'metadata':{ }}"), "empty metadata");
	ok(got.event.metadata.p != NULL, "- is not null");
	ok(get_quoted("{" EVENT ",'metadata':{'seq':1,'commit_lsn':'0/1'}}"),
	    "metadata of an identity only");
	ok(got.event.metadata.p == NULL, "- becomes null");
	ok(get_quoted("{" NAMES "'operation':'IN\\u0053ERT','lsn':'0/1',"
		      "'event_time':'2000-01-01 02:00:00.5+02:00'}"),
	    "an escape in the operation, a time with an offset");
	is_view(got.event.operation, VIEW_LIT("INSERT"), "- decoded");
	ok(got.event.event_time == 500000, "- in UTC");
	ok(get_quoted("{'source_id':'\\ud83d\\ude00\\n','schema_name':'\\'',"
		      "'table_name':''," REST "}"),
	    "escapes in names");
	is_view(got.event.source_id, VIEW_LIT("\360\237\230\200\n"), "- first");
	is_view(got.event.schema_name, VIEW_LIT("\""), "- second");
}

static void
test_long_source(void)
{
	struct buf b = BUF_INIT;

	for (size_t n = 512; n <= 513; n++) {
		buf_clear(&b);
		buf_adds(&b, "{'source_id':'");
		for (size_t i = 0; i < n; i++)
			buf_addc(&b, 's');
		buf_adds(&b, "','schema_name':'','table_name':''," REST "}");
		ok(get_quoted(buf_str(&b)) == (n == 512), "a source of %zu", n);
	}
	is_str(why.reason, "is too long", "- the reason");
	buf_release(&b);
}

/* Which event a refused line is. */
static void
is_known_as(const char *quoted, const char *source, uint64_t commit_lsn,
    uint64_t seq, bool control)
{
	if (!ok(!get_quoted(quoted), "refused: %s", quoted))
		return;
	is_view(why.source_id, view_of(source), "- its source");
	ok(why.commit_lsn == commit_lsn && why.seq == seq, "- its identity");
	ok(why.control == control && !why.no_memory, "- control line or not");
}

static void
test_identity(void)
{
	is_known_as("{'source_id':'a\\n','after_data':{'a':1e999999},"
		    "'metadata':{'x':1,'seq':7,'commit_lsn':'0/A'},'lsn':1}",
	    "a\n", 10, 7, false);
	is_known_as(
	    "{'metadata':{'seq':7,'commit_lsn':'0/A'}}", NULL, 10, 7, false);
	is_known_as("{'source_id':7,'metadata':{'seq':0,'commit_lsn':'0/A'}}",
	    NULL, 0, 0, false);
	is_known_as("{" EVENT ",'metadata':{'seq':7,'commit_lsn':'0/A',"
		    "'x':'\\u0000'}}",
	    "s", 0, 0, false);
	is_known_as("{" EVENT ",'x':1}", "s", 0, 0, false);
	is_known_as("{" EVENT, "s", 0, 0, false);
	is_known_as("{'source_id':'s", NULL, 0, 0, false);
	is_known_as("{'source_id':'s'", NULL, 0, 0, false);
	is_known_as("{'source_id':'s','schema_name':", "s", 0, 0, false);
	is_known_as("{'metadata':{'seq':7,'commit_lsn':'0/A'},'source_id':'s',"
		    "'after_data':{'a':tru}}",
	    "s", 10, 7, false);
	is_known_as("{'control':'checkpoint'}", NULL, 0, 0, true);
	is_known_as("{'source_id':'s','control':7}", NULL, 0, 0, true);
	is_known_as("{'control':'start','lsn'", NULL, 0, 0, true);
}

/* Members in groups: what is required, then what is not. */
static const struct {
	const char *key, *value;
	bool required;
} members[] = {
    {"source_id", "'s'", true},
    {"schema_name", "'p'", true},
    {"table_name", "'t'", true},
    {"operation", "'INSERT'", true},
    {"lsn", "'0/1'", true},
    {"event_time", "'2000-01-01T00:00:00Z'", true},
    {"transaction_id", "1", false},
    {"key_columns", "['id']", false},
    {"before_data", "{}", false},
    {"after_data", "null", false},
    {"metadata", "{'commit_lsn':'0/1','seq':1,'k':2}", false},
    {"id", "1", false},
    {"created_at", "null", false},
    {"processed_at", "null", false},
};
#define NMEMBERS (sizeof(members) / sizeof(*members))

static void
test_member_counts(void)
{
	for (size_t i = 0; i < NMEMBERS; i++) {
		struct buf without = BUF_INIT, twice = BUF_INIT;

		for (size_t j = 0; j < NMEMBERS; j++) {
			buf_addf(&twice, "%c'%s':%s", j == 0 ? '{' : ',',
			    members[j].key, members[j].value);
			if (j == i)
				continue;
			buf_addf(&without, "%c'%s':%s",
			    without.len == 0 ? '{' : ',', members[j].key,
			    members[j].value);
		}
		buf_adds(&without, "}");
		buf_addf(
		    &twice, ",'^%s':%s}", members[i].key, members[i].value);
		if (members[i].required)
			is_refused(
			    buf_str(&without), "is missing", members[i].key);
		else
			ok(get_quoted(buf_str(&without)), "optional: %s",
			    members[i].key);
		is_refused(buf_str(&twice), "appears twice", members[i].key);
		buf_release(&without);
		buf_release(&twice);
	}
}

#define NOT_STRING "is not a string"
#define NOT_LSN    "is not an LSN such as 0/1A2B3C4"
#define NOT_TIME   "is not an RFC 3339 time"
#define NOT_FROM_0 "is not a whole number from 0 on"
#define NOT_FROM_1 "is not a whole number from 1 on"
#define NOT_OBJECT "is neither an object nor null"
#define NOT_ARRAY  "is neither an array nor null"
#define NOT_NAMES  "is not an array of strings"
#define NOT_OP     "is not a known operation"

/* Without a ^ in the value, it is put before the value. */
static const struct {
	const char *key, *value, *reason;
} bad_values[] = {
    {"source_id", "null", NOT_STRING},
    {"source_id", "1", NOT_STRING},
    {"source_id", "''", "is empty"},
    {"source_id", "'^a\\u0000'", "holds \\u0000"},
    {"source_id", "'ab^\\ud800'", "lone surrogate"},
    {"source_id", "'ab^\\udc00\\ud800'", "lone surrogate"},
    {"schema_name", "[]", NOT_STRING},
    {"schema_name", "null", NOT_STRING},
    {"schema_name", "'^\\u0000'", "holds \\u0000"},
    {"table_name", "{}", NOT_STRING},
    {"table_name", "'\\n^\\uDFFF'", "lone surrogate"},
    {"operation", "'insert'", NOT_OP},
    {"operation", "''", NOT_OP},
    {"operation", "'INSERT '", NOT_OP},
    {"operation", "null", NOT_STRING},
    {"lsn", "'0/00'", NOT_LSN},
    {"lsn", "'0/abc'", NOT_LSN},
    {"lsn", "'G/1'", NOT_LSN},
    {"lsn", "'1/100000000'", NOT_LSN},
    {"lsn", "''", NOT_LSN},
    {"lsn", "null", NOT_STRING},
    {"lsn", "1", NOT_STRING},
    {"transaction_id", "'1'", NOT_FROM_0},
    {"transaction_id", "-1", NOT_FROM_0},
    {"transaction_id", "1.0", NOT_FROM_0},
    {"transaction_id", "1e3", NOT_FROM_0},
    {"transaction_id", "9223372036854775808", NOT_FROM_0},
    {"transaction_id", "true", NOT_FROM_0},
    {"key_columns", "{}", NOT_ARRAY},
    {"key_columns", "'id'", NOT_ARRAY},
    {"key_columns", "['a^\\u0000']", "\\u0000 in a string"},
    {"key_columns", "['id',1]", NOT_NAMES},
    {"key_columns", "[null]", NOT_NAMES},
    {"key_columns", "[['id']]", NOT_NAMES},
    {"key_columns", "['\\\\',{}]", NOT_NAMES},
    {"before_data", "{'a':1,'b':{'c':1,'^c':2}}", "duplicate key"},
    {"after_data", "{'a':1,'^\\u0061':1}", "duplicate key"},
    {"metadata", "{'a':1,'b':1,'^a':1}", "duplicate key"},
    {"before_data", "[]", NOT_OBJECT},
    {"before_data", "{'a':'^\\ud834'}", "lone surrogate"},
    {"before_data", "{'^\\u0000':1}", "\\u0000 in a string"},
    {"after_data", "7", NOT_OBJECT},
    {"after_data", "{'a':^1e131072}", "number out of range"},
    {"event_time", "0", NOT_STRING},
    {"event_time", "null", NOT_STRING},
    {"event_time", "'2000-02-30T00:00:00Z'", NOT_TIME},
    {"event_time", "'2000-01-01'", NOT_TIME},
    {"event_time", "'2000-01-01T00:00:00.1234567Z'", NOT_TIME},
    {"event_time", "''", NOT_TIME},
    {"metadata", "[]", NOT_OBJECT},
    {"metadata", "'x'", NOT_OBJECT},
    {"metadata", "{'commit_lsn':'0/1'}", "has only one of commit_lsn and seq"},
    {"metadata", "{'seq':1}", "has only one of commit_lsn and seq"},
    {"metadata", "{'k':'^\\udc00'}", "lone surrogate"},
};

static void
test_bad_values(void)
{
	for (size_t i = 0; i < sizeof(bad_values) / sizeof(*bad_values); i++) {
		const char *key = bad_values[i].key;
		const char *value = bad_values[i].value;
		struct buf b = BUF_INIT;

		for (size_t j = 0; j < NMEMBERS; j++) {
			bool it = strcmp(members[j].key, key) == 0;

			buf_addf(&b, "%c'%s':%s%s", j == 0 ? '{' : ',',
			    members[j].key,
			    it && strchr(value, '^') == NULL ? "^" : "",
			    it ? value : members[j].value);
		}
		buf_addc(&b, '}');
		is_refused(buf_str(&b), bad_values[i].reason, key);
		buf_release(&b);
	}
}

static const struct {
	const char *line, *reason, *key;
} refused[] = {
    {"{" EVENT ",'^x':1}", "is not a known key", "x"},
    {"{" EVENT ",'^':1}", "is not a known key", ""},
    {"{" EVENT ",'^Source_id':1}", "is not a known key", "Source_id"},
    {"{" EVENT ",'^ack':'x'}", "is not a known key", "ack"},
    {"{" EVENT ",'^timeline':1}", "is not a known key", "timeline"},
    {"{" EVENT ",'^\\ud800':1}", "lone surrogate", "\\ud800"},
    {"{" EVENT ",'^i\\u0000d':1}", "holds \\u0000", "i\\u0000d"},
    {"{" EVENT ",'metadata':{'commit_lsn':^0,'seq':1}}", NOT_STRING,
	"commit_lsn"},
    {"{" EVENT ",'metadata':{'commit_lsn':^'0/G','seq':1}}", NOT_LSN,
	"commit_lsn"},
    {"{" EVENT ",'metadata':{'commit_lsn':'0/1','seq':^0}}", NOT_FROM_1, "seq"},
    {"{" EVENT ",'metadata':{'commit_lsn':'0/1','seq':^'1'}}", NOT_FROM_1,
	"seq"},
    {"{" EVENT ",'metadata':{'commit_lsn':'0/1','seq':^1e3}}", NOT_FROM_1,
	"seq"},
    {"{" EVENT ",'metadata':{'commit_lsn':'0/1','seq':^-1}}", NOT_FROM_1,
	"seq"},
    {"{" EVENT ",'metadata':{'commit_lsn':'0/1','seq':^9223372036854775808}}",
	NOT_FROM_1, "seq"},
    {"{" EVENT ",'metadata':{'commit_lsn':'0/1','seq':1,'^seq':1}}",
	"duplicate key", "metadata"},
    {"{" EVENT ",'metadata':{'commit_lsn':'0/1','seq':1,'^commit_lsn':'0/1'}}",
	"duplicate key", "metadata"},
    {"^", "unexpected end", NULL},
    {"{" EVENT "^", "unexpected end", NULL},
    {"{" EVENT ",^}", "unexpected character", NULL},
    {"{" EVENT "}^x", "unexpected character", NULL},
    {"{" EVENT "}^{" EVENT "}", "unexpected character", NULL},
    {"^[]", "not an object", NULL},
    {"  ^null", "not an object", NULL},
    {"{}", "is missing", "source_id"},
    {"{'source_id':'a^\001'}", "control character in a string", NULL},
    {"{'source_id':'a^\377'}", "invalid UTF-8", NULL},
    {"{'source_id':'^\\x'}", "unknown escape", NULL},
    {"{'control':^''}", "is empty", "control"},
    {"{'control':^null}", NOT_STRING, "control"},
    {"{" EVENT ",'control':^7}", NOT_STRING, "control"},
    {"{'control':'checkpoint'}", "is missing", "ack"},
    {"{'control':'checkpoint','ack':^''}", "is empty", "ack"},
    {"{'control':'checkpoint','ack':^1}", NOT_STRING, "ack"},
    {"{'control':'checkpoint','ack':^'a\\nb'}", "holds a control character",
	"ack"},
    {"{'control':'checkpoint','ack':'a','^ack':'b'}", "appears twice", "ack"},
    {"{'control':'checkpoint','^control':'start','ack':'b'}", "appears twice",
	"control"},
    {"{'control':'checkpoint','^source_id':'s','ack':'b'}",
	"is not a known key", "source_id"},
    {"{'control':'start','^ack':'b'}", "is not a known key", "ack"},
};

static void
test_refused(void)
{
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		is_refused(refused[i].line, refused[i].reason, refused[i].key);
	ok(!get(VIEW_LIT("{\"source_id\":\"s\"}\0")) && why.offset == 17,
	    "refused: a NUL after the object");
	ok(get_quoted("{" EVENT "}"), "the reader can be used after a refusal");

	/* the object itself, and its values 256 deep */
	for (int depth = 256; depth <= 257; depth++) {
		buf_clear(&b);
		buf_adds(&b, "{" EVENT ",'after_data':{'a':");
		for (int i = 0; i < depth; i++)
			buf_addc(&b, '[');
		for (int i = 0; i < depth; i++)
			buf_addc(&b, ']');
		buf_adds(&b, "}}");
		ok(get_quoted(buf_str(&b)) == (depth == 256),
		    "a value in after_data %d deep", depth);
	}
	is_str(why.reason, "nested too deep", "- its reason");
	is_view(why.key, VIEW_LIT("after_data"), "- its key");
	buf_release(&b);
}

static bool
checkpoint_back(struct view ack)
{
	struct buf b = BUF_INIT;
	bool good;

	event_write_checkpoint(&b, ack);
	b.len--; /* the newline */
	good = get(buf_view(&b));
	buf_release(&b);
	return good && got.kind == LINE_CHECKPOINT && view_eq(got.ack, ack);
}

static void
test_checkpoint(void)
{
	struct buf b = BUF_INIT;

	event_write_checkpoint(&b, VIEW_LIT("0/1A2B4F0"));
	is_view(buf_view(&b),
	    VIEW_LIT("{\"control\":\"checkpoint\",\"ack\":\"0/1A2B4F0\"}\n"),
	    "a checkpoint as a line");
	ok(checkpoint_back(VIEW_LIT("0/1A2B4F0")), "and back");
	ok(checkpoint_back(VIEW_LIT("a\"\\/\303\251 \177")),
	    "an opaque ack with escapes");
	buf_clear(&b);
	for (int i = 0; i < 4000; i++)
		buf_addc(&b, 'a');
	ok(checkpoint_back(buf_view(&b)), "an ack of 4000 bytes");
	buf_addc(&b, 'a');
	ok(!checkpoint_back(buf_view(&b)), "4001 are refused");
	is_str(why.reason, "is too long", "- its reason");
	ok(get_quoted("{'ack':'a','control':'checkpoint'}") &&
		got.kind == LINE_CHECKPOINT,
	    "a checkpoint in another order");
	buf_clear(&b);
	event_write_alive(&b);
	is_view(buf_view(&b), VIEW_LIT("{\"control\":\"alive\"}\n"),
	    "an alive line");
	ok(get_quoted("{'control':'alive'}") && got.kind == LINE_ALIVE,
	    "- and back");
	ok(get_quoted("{'new':[{}],'control':'of a later version','ack':1}") &&
		got.kind == LINE_OTHER,
	    "an unknown control line is accepted, whatever is in it");
	buf_release(&b);
}

static const struct {
	const char *key, *value, *bad, *reason;
} start[] = {
    {"source_id", "'s'", "''", "is empty"},
    {"system_id", "'7'", "7", NOT_STRING},
    {"timeline", "1", "0", NOT_FROM_1},
    {"timeline", "1", "'1'", NOT_FROM_1},
    {"history", "[]", "{}", NOT_ARRAY},
    {"slot", "'c'", "''", "is empty"},
    {"lsn", "'0/1'", "'0/01'", NOT_LSN},
    {"flush", "'0/1'", "null", NOT_STRING},
};
#define NSTART (sizeof(start) / sizeof(*start))

/* A start line without start[i], or with it bad. */
static void
start_line(struct buf *b, size_t i, bool bad)
{
	buf_clear(b);
	buf_addc(b, '{');
	for (size_t j = 0; j < NSTART; j++) {
		if (j > 0 && start[j].key == start[j - 1].key)
			continue;
		if (strcmp(start[j].key, start[i].key) != 0)
			buf_addf(b, "'%s':%s,", start[j].key, start[j].value);
		else if (bad)
			buf_addf(b, "'%s':^%s,", start[i].key, start[i].bad);
	}
	buf_adds(b, "'control':'start'}");
}

static void
test_start(void)
{
	struct stream_start s = {VIEW_LIT("shop"),
	    VIEW_LIT("7412345678901234567"), UINT32_MAX,
	    VIEW_LIT("[[1,\"0/5000000\"]]"), VIEW_LIT("philotes_cdc"),
	    0x1a2b300, UINT64_MAX};
	struct buf b = BUF_INIT, wanted = BUF_INIT;

	event_write_start(&b, &s);
	unquote(&wanted,
	    "{'control':'start','source_id':'shop',"
	    "'system_id':'7412345678901234567','timeline':4294967295,"
	    "'history':[[1,'0/5000000']],'slot':'philotes_cdc',"
	    "'lsn':'0/1A2B300','flush':'FFFFFFFF/FFFFFFFF'}\n");
	is_view(buf_view(&b), buf_view(&wanted), "a start as a line");
	b.len--;
	ok(get(buf_view(&b)) && got.kind == LINE_START, "and back");
	is_view(got.start.source_id, s.source_id, "- source_id");
	is_view(got.start.system_id, s.system_id, "- system_id");
	is_view(got.start.history, s.history, "- history");
	is_view(got.start.slot, s.slot, "- slot");
	ok(got.start.timeline == s.timeline && got.start.lsn == s.lsn &&
		got.start.flush == s.flush,
	    "- numbers");
	for (size_t i = 0; i < NSTART; i++) {
		start_line(&b, i, false);
		is_refused(buf_str(&b), "is missing", start[i].key);
		start_line(&b, i, true);
		is_refused(buf_str(&b), start[i].reason, start[i].key);
	}
	buf_release(&b);
	buf_release(&wanted);
}

static const struct {
	const char *history;
	uint32_t timeline;
	uint64_t lsn; /* 0: not found */
} histories[] = {
    {"[]", 1, 0},
    {"[[1,'0/5000000']]", 1, 0x5000000},
    {"[[1,'0/5000000']]", 2, 0},
    {"[[1,'0/5000000'],[2,'A/B'],[13,'1/2']]", 2, UINT64_C(0xA0000000B)},
    {"[[1,'0/5000000'],[2,'A/B'],[13,'1/2']]", 13, UINT64_C(0x100000002)},
    {"[[1,'0/5000000'],[2,'A/B'],[13,'1/2']]", 3, 0},
    {"[[11,'0/5000000']]", 1, 0},
    {"[[1,'0/5000000']]", 11, 0},
    {"[[4294967295,'0/1']]", UINT32_MAX, 1},
    {"[[1,'0/G']]", 1, 0},
    {"[[1,'']]", 1, 0},
    {"[[1,'0/5000000", 1, 0},
    {"[[1,'", 1, 0},
    {"[[1", 1, 0},
    {"[[1,5]]", 1, 0},
    {"['1','0/1']", 1, 0},
    {"", 1, 0},
    /* as other JSON writers have it */
    {"[[1, '0/5000000'], [2, '0/6000000']]", 1, 0x5000000},
    {" [ [ 1 , '0/5000000' ] , [ 2 , '0/6000000' ] ] ", 2, 0x6000000},
};

static void
test_history(void)
{
	uint64_t lsn;

	for (size_t i = 0; i < sizeof(histories) / sizeof(*histories); i++) {
		struct buf b = BUF_INIT;
		char *exact;
		bool found;

		unquote(&b, histories[i].history);
		exact = malloc(b.len + 1);
		if (exact == NULL)
			abort();
		/* at the end of the memory */
		memcpy(exact + 1, buf_view(&b).p, b.len);
		lsn = 0;
		found = history_find((struct view){exact + 1, b.len},
		    histories[i].timeline, &lsn);
		ok(found == (histories[i].lsn != 0) &&
			(!found || lsn == histories[i].lsn),
		    "timeline %u in %s", (unsigned)histories[i].timeline,
		    histories[i].history);
		free(exact);
		buf_release(&b);
	}
	ok(!history_find(VIEW_NULL, 1, &lsn), "no history at all");
}

/* Escapes where none is needed mean the same. */

/* The key, each of its characters written as an escape. */
static void
add_escaped(struct buf *b, const char *key)
{
	for (; *key != '\0'; key++)
		buf_addf(b, "\\u%04x", (unsigned)(unsigned char)*key);
}

static void
test_escaped_keys(void)
{
	for (size_t i = 0; i < NMEMBERS; i++) {
		struct buf b = BUF_INIT;

		for (size_t j = 0; j < NMEMBERS; j++) {
			buf_adds(&b, j == 0 ? "{'" : ",'");
			if (j == i)
				add_escaped(&b, members[j].key);
			else
				buf_adds(&b, members[j].key);
			buf_addf(&b, "':%s", members[j].value);
		}
		buf_addc(&b, '}');
		ok(get_quoted(buf_str(&b)) && got.event.seq == 1 &&
			view_eq(got.event.metadata, VIEW_LIT("{\"k\":2}")),
		    "the key %s in escapes", members[i].key);
		buf_release(&b);
	}
}

static void
test_escapes(void)
{
	ok(get_quoted("{'source_id':'s','schema_name':'p','table_name':'t',"
		      "'operation':'INSERT','lsn':'0\\/1A','event_time':"
		      "'2000-01-01T00:00:00\\u005a'}"),
	    "escapes in lsn and event_time");
	is_view(got.event.lsn, VIEW_LIT("0/1A"), "- lsn is decoded");
	ok(get_quoted("{" EVENT ",'metadata':{'commit\\u005flsn':'0\\/1',"
		      "'\\u0073eq':7}}"),
	    "escapes in the keys of metadata");
	ok(got.event.seq == 7 && got.event.commit_lsn == 1,
	    "- the identity is taken");
	ok(!get_quoted("{" EVENT ",'metadata':{'commit_lsn':'0/1','seq':1,"
		       "'\\u0073eq':7}}"),
	    "seq twice, once in escapes");
}

static void
test_start_limits(void)
{
	struct buf b = BUF_INIT;
	static const char *const timelines[] = {"4294967296", "4294967297"};

	for (size_t i = 0; i < 2; i++) {
		buf_clear(&b);
		buf_addf(&b,
		    "{'control':'start','source_id':'s','system_id':'7',"
		    "'timeline':%s,'history':[],'slot':'c','lsn':'0/1',"
		    "'flush':'0/1'}",
		    timelines[i]);
		ok(!get_quoted(buf_str(&b)), "timeline %s goes beyond 32 bits",
		    timelines[i]);
	}
	ok(!get_quoted("{'control':'start','source_id':'s','system_id':'7',"
		       "'timeline':1,'history':null,'slot':'c','lsn':'0/1',"
		       "'flush':'0/1'}"),
	    "history is an array, not null");
	buf_release(&b);
}

/* What is decoded stays where it is, however long metadata is and however its
 * key is written. */
static void
test_scratch(void)
{
	struct buf b = BUF_INIT;

	event_reader_release(&reader); /* so that it starts small */
	buf_adds(&b,
	    "{'source_id':'\\u0061bcdefghijklmnopqrstuvwxyz',"
	    "'schema_name':'p','table_name':'t'," REST
	    ",'meta\\u0064ata':{'commit_lsn':'0/1','seq':1,'x':'");
	for (int i = 0; i < 1000000; i++)
		buf_addc(&b, 'x');
	buf_adds(&b, "'}}");
	ok(get_quoted(buf_str(&b)), "long metadata, its key in escapes");
	is_view(got.event.source_id, VIEW_LIT("abcdefghijklmnopqrstuvwxyz"),
	    "- what was decoded before is still there");
	buf_release(&b);
}

int
main(void)
{
	const char *seed = getenv("SEED");

	state = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
	printf("# SEED=%llu\n", (unsigned long long)state);
	test_put();
	test_inverse();
	test_accepted();
	test_identity();
	test_long_source();
	test_member_counts();
	test_bad_values();
	test_refused();
	test_checkpoint();
	test_start();
	test_history();
	test_escapes();
	test_start_limits();
	test_escaped_keys();
	test_scratch();
	event_reader_release(&reader);
	free(line);
	return done_testing();
}
