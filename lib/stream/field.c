#include "stream/field.h"

#include <string.h>

#include "base/clock.h"
#include "base/json_write.h"
#include "base/lsn.h"
#include "base/num.h"

#define NAME(s) \
	{ \
		s, sizeof(s) - 1 \
	}

void
field_refuse(
    struct fields *g, struct view at, struct view key, const char *reason)
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
field_refuse_json(struct fields *g, struct view text, struct view key,
    const struct json_error *je)
{
	field_refuse(g, (struct view){text.p + je->offset, 0}, key, je->reason);
}

/* What stands between quotes in the member. */
static struct view
text_of(struct fields *g, struct view raw, const struct json_member *m)
{
	struct json_error je;
	struct view v;

	if (!m->escaped)
		return raw;
	v = json_unescape(raw, g->scratch, &je);
	if (v.p == NULL)
		field_refuse_json(g, raw, m->key, &je);
	else if (memchr(v.p, '\0', v.n) != NULL)
		field_refuse(g, raw, m->key, "holds \\u0000");
	return v;
}

struct view
field_key(struct fields *g, const struct json_member *m)
{
	return text_of(g, m->key, m);
}

struct view
field_string(struct fields *g, const struct json_member *m)
{
	if (m->kind != JSON_STRING) {
		field_refuse(g, m->value, m->key, "is not a string");
		return VIEW_NULL;
	}
	return text_of(g, (struct view){m->value.p + 1, m->value.n - 2}, m);
}

struct view
field_name(struct fields *g, const struct json_member *m)
{
	struct view v = field_string(g, m);

	if (v.n == 0)
		field_refuse(g, m->value, m->key, "is empty");
	return v;
}

uint64_t
field_lsn(struct fields *g, const struct json_member *m, struct view *text)
{
	struct view v = field_string(g, m);
	uint64_t lsn = 0;

	if (!lsn_parse(v, &lsn))
		field_refuse(
		    g, m->value, m->key, "is not an LSN such as 0/1A2B3C4");
	if (text != NULL)
		*text = v;
	return lsn;
}

int64_t
field_i64(struct fields *g, const struct json_member *m, int64_t min)
{
	int64_t v = 0;

	if (m->kind != JSON_NUMBER || !num_parse_i64(m->value, &v) || v < min)
		field_refuse(g, m->value, m->key,
		    min > 0 ? "is not a whole number from 1 on"
			    : "is not a whole number from 0 on");
	return v;
}

uint32_t
field_timeline(struct fields *g, const struct json_member *m)
{
	int64_t v = field_i64(g, m, 1);

	if (v > UINT32_MAX)
		field_refuse(g, m->value, m->key, "is not a timeline");
	return (uint32_t)v;
}

int64_t
field_time(struct fields *g, const struct json_member *m)
{
	int64_t t = 0;

	if (!clock_parse_pg(field_string(g, m), &t))
		field_refuse(g, m->value, m->key, "is not an RFC 3339 time");
	return t;
}

struct view
field_json(struct fields *g, const struct json_member *m, enum json_kind kind)
{
	struct json_error je;

	if (m->kind == JSON_NULL)
		return VIEW_NULL;
	if (m->kind != kind)
		field_refuse(g, m->value, m->key,
		    kind == JSON_ARRAY ? "is neither an array nor null"
				       : "is neither an object nor null");
	else if (!g->storable &&
	    !json_storable(m->value, JSON_STORE_DEPTH + 1, true, &je))
		field_refuse_json(g, m->value, m->key, &je);
	return m->value;
}

/* Is the array, which has been recognised, one of strings? */
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
field_strings(struct fields *g, const struct json_member *m)
{
	struct view v = field_json(g, m, JSON_ARRAY);

	if (!g->failed && v.p != NULL && !all_strings(v))
		field_refuse(g, m->value, m->key, "is not an array of strings");
	return v;
}

struct view
field_operation(struct fields *g, const struct json_member *m)
{
	static const struct view known[] = {NAME("INSERT"), NAME("UPDATE"),
	    NAME("DELETE"), NAME("TRUNCATE"), NAME("MESSAGE")};
	struct view v = field_string(g, m);

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (view_eq(v, known[i]))
			return v;
	}
	field_refuse(g, m->value, m->key, "is not a known operation");
	return v;
}
