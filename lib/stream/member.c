#include "stream/member.h"

#include <string.h>

#include "base/clock.h"
#include "base/lsn.h"
#include "base/num.h"
#include "json/json_escape.h"

#define NAME(s) \
	{ \
		s, sizeof(s) - 1 \
	}

void
member_refuse(struct member_reader *g, struct view at, struct view key,
    const char *reason)
{
	if (g->failed)
		return;
	g->failed = true;
	g->e->reason = reason;
	g->e->no_memory = strcmp(reason, "out of memory") == 0;
	g->e->key = key;
	g->e->offset = at.p != NULL ? (size_t)(at.p - g->line.p) : 0;
}

void
member_refuse_json(struct member_reader *g, struct view text, struct view key,
    const struct json_error *je)
{
	member_refuse(
	    g, (struct view){text.p + je->offset, 0}, key, je->reason);
}

/* Decodes raw, the text between the quotes of the member's key or value. */
static struct view
text_of(struct member_reader *g, struct view raw, const struct json_member *m)
{
	struct json_error je;
	struct view v;

	if (!m->escaped)
		return raw;
	v = json_unescape(raw, g->scratch, &je);
	if (v.p == NULL)
		member_refuse_json(g, raw, m->key, &je);
	else if (memchr(v.p, '\0', v.n) != NULL)
		member_refuse(g, raw, m->key, "holds \\u0000");
	return v;
}

struct view
member_key(struct member_reader *g, const struct json_member *m)
{
	return text_of(g, m->key, m);
}

struct view
member_string(struct member_reader *g, const struct json_member *m)
{
	if (m->kind != JSON_STRING) {
		member_refuse(g, m->value, m->key, "is not a string");
		return VIEW_NULL;
	}
	return text_of(g, (struct view){m->value.p + 1, m->value.n - 2}, m);
}

struct view
member_name(struct member_reader *g, const struct json_member *m)
{
	struct view v = member_string(g, m);

	if (v.n == 0)
		member_refuse(g, m->value, m->key, "is empty");
	return v;
}

uint64_t
member_lsn(
    struct member_reader *g, const struct json_member *m, struct view *text)
{
	struct view v = member_string(g, m);
	uint64_t lsn = 0;

	if (!lsn_parse(v, &lsn))
		member_refuse(
		    g, m->value, m->key, "is not an LSN such as 0/1A2B3C4");
	if (text != NULL)
		*text = v;
	return lsn;
}

int64_t
member_i64(struct member_reader *g, const struct json_member *m, int64_t min)
{
	int64_t v = 0;

	if (m->kind != JSON_NUMBER || !num_parse_i64(m->value, &v) || v < min)
		member_refuse(g, m->value, m->key,
		    min > 0 ? "is not a whole number from 1 on"
			    : "is not a whole number from 0 on");
	return v;
}

uint32_t
member_timeline(struct member_reader *g, const struct json_member *m)
{
	int64_t v = member_i64(g, m, 1);

	if (v > UINT32_MAX)
		member_refuse(g, m->value, m->key, "is not a timeline");
	return (uint32_t)v;
}

int64_t
member_time(struct member_reader *g, const struct json_member *m)
{
	int64_t t = 0;

	if (!clock_parse_pg(member_string(g, m), &t))
		member_refuse(g, m->value, m->key, "is not an RFC 3339 time");
	return t;
}

void
member_storable(struct member_reader *g, const struct json_member *m)
{
	struct json_error je;

	if (!g->storable &&
	    !json_storable(m->value, JSON_STORE_DEPTH + 1, true, &je))
		member_refuse_json(g, m->value, m->key, &je);
}

struct view
member_json(
    struct member_reader *g, const struct json_member *m, enum json_kind kind)
{
	if (m->kind == JSON_NULL)
		return VIEW_NULL;
	if (m->kind != kind)
		member_refuse(g, m->value, m->key,
		    kind == JSON_ARRAY ? "is neither an array nor null"
				       : "is neither an object nor null");
	else
		member_storable(g, m);
	return m->value;
}

/* Does the array, which is valid JSON, hold only strings? */
static bool
all_strings(struct view array)
{
	bool quoted = false;

	for (size_t i = 1; i + 1 < array.n; i++) {
		char c = array.p[i];

		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && c != ',' && c != ' ' && c != '\t' &&
		    c != '\r' && c != '\n')
			return false;
	}
	return true;
}

struct view
member_strings(struct member_reader *g, const struct json_member *m)
{
	struct view v = member_json(g, m, JSON_ARRAY);

	if (!g->failed && v.p != NULL && !all_strings(v))
		member_refuse(
		    g, m->value, m->key, "is not an array of strings");
	return v;
}

struct view
member_operation(struct member_reader *g, const struct json_member *m)
{
	static const struct view known[] = {NAME("INSERT"), NAME("UPDATE"),
	    NAME("DELETE"), NAME("TRUNCATE"), NAME("MESSAGE"), NAME("READ"),
	    NAME("SNAPSHOT")};
	struct view v = member_string(g, m);

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (view_eq(v, known[i]))
			return v;
	}
	member_refuse(g, m->value, m->key, "is not a known operation");
	return v;
}
