/*
 * line       = event | start | checkpoint
 * event      = { id? source_id schema_name table_name operation lsn
 *                transaction_id key_columns before_data after_data event_time
 *                metadata created_at? processed_at? }
 * metadata   = null | { (commit_lsn seq)? … }
 * start      = { control:"start" source_id system_id timeline history slot lsn
 *                flush }
 * checkpoint = { control:"checkpoint" ack }
 *
 * Members may come in any order; they are written in this one.
 */
#include "event_json.h"

#include "clock.h"
#include "json_write.h"
#include "lsn.h"
#include "num.h"

#define ACK_MAX 4000 /* an ack line is one write(2) of at most PIPE_BUF */

/* Writing */

static void
put_u64(struct buf *b, uint64_t v)
{
	char text[20];

	buf_add(b, text, num_format_u64(text, v));
}

static void
put_lsn(struct buf *b, uint64_t lsn)
{
	char text[LSN_TEXT_MAX];
	size_t n = lsn_format(text, lsn);

	buf_addc(b, '"');
	buf_add(b, text, n);
	buf_addc(b, '"');
}

static void
put_raw(struct buf *b, struct view json)
{
	buf_addv(b, json.p != NULL ? json : VIEW_LIT("null"));
}

static void
put_time(struct buf *b, int64_t t)
{
	buf_addc(b, '"');
	clock_format_pg(b, t);
	buf_addc(b, '"');
}

static void
put_metadata(struct buf *b, const struct event *e)
{
	if (e->seq == 0) {
		put_raw(b, e->metadata);
		return;
	}
	buf_addv(b, VIEW_LIT("{\"commit_lsn\":"));
	put_lsn(b, e->commit_lsn);
	buf_addv(b, VIEW_LIT(",\"seq\":"));
	put_u64(b, e->seq);
	if (e->metadata.n > 2) {
		buf_addc(b, ',');
		buf_add(b, e->metadata.p + 1, e->metadata.n - 1);
	} else {
		buf_addc(b, '}');
	}
}

void
event_json_put(struct buf *b, const struct event *e)
{
	buf_addc(b, '{');
	if (e->id != 0) {
		buf_addv(b, VIEW_LIT("\"id\":"));
		put_u64(b, (uint64_t)e->id);
		buf_addc(b, ',');
	}
	buf_addv(b, VIEW_LIT("\"source_id\":"));
	json_write_string(b, e->source_id);
	buf_addv(b, VIEW_LIT(",\"schema_name\":"));
	json_write_string(b, e->schema_name);
	buf_addv(b, VIEW_LIT(",\"table_name\":"));
	json_write_string(b, e->table_name);
	buf_addv(b, VIEW_LIT(",\"operation\":"));
	json_write_string(b, e->operation);
	buf_addv(b, VIEW_LIT(",\"lsn\":"));
	json_write_string(b, e->lsn);
	buf_addv(b, VIEW_LIT(",\"transaction_id\":"));
	if (e->has_transaction_id)
		put_u64(b, (uint64_t)e->transaction_id);
	else
		put_raw(b, VIEW_NULL);
	buf_addv(b, VIEW_LIT(",\"key_columns\":"));
	put_raw(b, e->key_columns);
	buf_addv(b, VIEW_LIT(",\"before_data\":"));
	put_raw(b, e->before_data);
	buf_addv(b, VIEW_LIT(",\"after_data\":"));
	put_raw(b, e->after_data);
	buf_addv(b, VIEW_LIT(",\"event_time\":"));
	put_time(b, e->event_time);
	buf_addv(b, VIEW_LIT(",\"metadata\":"));
	put_metadata(b, e);
	if (e->id != 0) {
		buf_addv(b, VIEW_LIT(",\"created_at\":"));
		put_time(b, e->created_at);
	}
	buf_addv(b, VIEW_LIT("}\n"));
}

void
event_json_put_checkpoint(struct buf *b, struct view ack)
{
	buf_addv(b, VIEW_LIT("{\"control\":\"checkpoint\",\"ack\":"));
	json_write_string(b, ack);
	buf_addv(b, VIEW_LIT("}\n"));
}

void
event_json_put_start(struct buf *b, const struct stream_start *s)
{
	buf_addv(b, VIEW_LIT("{\"control\":\"start\",\"source_id\":"));
	json_write_string(b, s->source_id);
	buf_addv(b, VIEW_LIT(",\"system_id\":"));
	json_write_string(b, s->system_id);
	buf_addv(b, VIEW_LIT(",\"timeline\":"));
	put_u64(b, s->timeline);
	buf_addv(b, VIEW_LIT(",\"history\":"));
	buf_addv(b, s->history);
	buf_addv(b, VIEW_LIT(",\"slot\":"));
	json_write_string(b, s->slot);
	buf_addv(b, VIEW_LIT(",\"lsn\":"));
	put_lsn(b, s->lsn);
	buf_addv(b, VIEW_LIT(",\"flush\":"));
	put_lsn(b, s->flush);
	buf_addv(b, VIEW_LIT("}\n"));
}

/* Reading */

enum field {
	F_ID,
	F_SOURCE_ID,
	F_SCHEMA_NAME,
	F_TABLE_NAME,
	F_OPERATION,
	F_LSN,
	F_TRANSACTION_ID,
	F_KEY_COLUMNS,
	F_BEFORE_DATA,
	F_AFTER_DATA,
	F_EVENT_TIME,
	F_METADATA,
	F_CREATED_AT,
	F_PROCESSED_AT,
	F_CONTROL,
	F_SYSTEM_ID,
	F_TIMELINE,
	F_HISTORY,
	F_SLOT,
	F_FLUSH,
	F_ACK,
	F_MAX,
};

#define NAME(s) \
	{ \
		s, sizeof(s) - 1 \
	}

static const struct view field_names[F_MAX] = {
    [F_ID] = NAME("id"),
    [F_SOURCE_ID] = NAME("source_id"),
    [F_SCHEMA_NAME] = NAME("schema_name"),
    [F_TABLE_NAME] = NAME("table_name"),
    [F_OPERATION] = NAME("operation"),
    [F_LSN] = NAME("lsn"),
    [F_TRANSACTION_ID] = NAME("transaction_id"),
    [F_KEY_COLUMNS] = NAME("key_columns"),
    [F_BEFORE_DATA] = NAME("before_data"),
    [F_AFTER_DATA] = NAME("after_data"),
    [F_EVENT_TIME] = NAME("event_time"),
    [F_METADATA] = NAME("metadata"),
    [F_CREATED_AT] = NAME("created_at"),
    [F_PROCESSED_AT] = NAME("processed_at"),
    [F_CONTROL] = NAME("control"),
    [F_SYSTEM_ID] = NAME("system_id"),
    [F_TIMELINE] = NAME("timeline"),
    [F_HISTORY] = NAME("history"),
    [F_SLOT] = NAME("slot"),
    [F_FLUSH] = NAME("flush"),
    [F_ACK] = NAME("ack"),
};

#define BIT(f) (1u << (f))

static const unsigned event_known = BIT(F_ID) | BIT(F_SOURCE_ID) |
    BIT(F_SCHEMA_NAME) | BIT(F_TABLE_NAME) | BIT(F_OPERATION) | BIT(F_LSN) |
    BIT(F_TRANSACTION_ID) | BIT(F_KEY_COLUMNS) | BIT(F_BEFORE_DATA) |
    BIT(F_AFTER_DATA) | BIT(F_EVENT_TIME) | BIT(F_METADATA) |
    BIT(F_CREATED_AT) | BIT(F_PROCESSED_AT);
static const unsigned event_required = BIT(F_SOURCE_ID) | BIT(F_SCHEMA_NAME) |
    BIT(F_TABLE_NAME) | BIT(F_OPERATION) | BIT(F_LSN) | BIT(F_EVENT_TIME);
static const unsigned start_fields = BIT(F_CONTROL) | BIT(F_SOURCE_ID) |
    BIT(F_SYSTEM_ID) | BIT(F_TIMELINE) | BIT(F_HISTORY) | BIT(F_SLOT) |
    BIT(F_LSN) | BIT(F_FLUSH);
static const unsigned checkpoint_fields = BIT(F_CONTROL) | BIT(F_ACK);

/* One line being read; the first error sticks. */
struct reading {
	struct event_json_reader *r;
	struct view line;
	struct stream_line *l;
	struct line_error *e;
	bool failed;
};

static void
refuse(struct reading *g, struct view at, struct view key, const char *reason)
{
	if (g->failed)
		return;
	g->failed = true;
	g->e->reason = reason;
	g->e->no_memory = strcmp(reason, "out of memory") == 0;
	g->e->key = key;
	g->e->offset = at.p != NULL ? (size_t)(at.p - g->line.p) : 0;
}

static void
refuse_json(struct reading *g, struct view text, struct view key,
    const struct json_error *je)
{
	refuse(g, (struct view){text.p + je->offset, 0}, key, je->reason);
}

static struct view
unescaped(struct reading *g, struct view raw, struct view key)
{
	struct json_error je;
	struct view v;

	if (raw.n == 0)
		return VIEW_LIT("");
	if (memchr(raw.p, '\\', raw.n) == NULL)
		return raw;
	v = json_unescape(raw, &g->r->scratch, &je);
	if (v.p == NULL)
		refuse_json(g, raw, key, &je);
	else if (memchr(v.p, '\0', v.n) != NULL)
		refuse(g, raw, key, "holds \\u0000");
	return v;
}

static struct view
get_string(struct reading *g, const struct json_member *m)
{
	if (m->kind != JSON_STRING) {
		refuse(g, m->value, m->key, "is not a string");
		return VIEW_NULL;
	}
	return unescaped(
	    g, (struct view){m->value.p + 1, m->value.n - 2}, m->key);
}

static struct view
get_name(struct reading *g, const struct json_member *m)
{
	struct view v = get_string(g, m);

	if (v.n == 0)
		refuse(g, m->value, m->key, "is empty");
	return v;
}

/* The text too, if that is wanted. */
static uint64_t
get_lsn(struct reading *g, const struct json_member *m, struct view *text)
{
	struct view v = get_string(g, m);
	uint64_t lsn = 0;

	if (!lsn_parse(v, &lsn))
		refuse(g, m->value, m->key, "is not an LSN such as 0/1A2B3C4");
	if (text != NULL)
		*text = v;
	return lsn;
}

static int64_t
get_i64(struct reading *g, const struct json_member *m, int64_t min)
{
	int64_t v = 0;

	if (m->kind != JSON_NUMBER || !num_parse_i64(m->value, &v) || v < min)
		refuse(g, m->value, m->key,
		    min > 0 ? "is not a whole number from 1 on"
			    : "is not a whole number from 0 on");
	return v;
}

static uint32_t
get_timeline(struct reading *g, const struct json_member *m)
{
	int64_t v = get_i64(g, m, 1);

	if (v > UINT32_MAX)
		refuse(g, m->value, m->key, "is not a timeline");
	return (uint32_t)v;
}

static int64_t
get_time(struct reading *g, const struct json_member *m)
{
	int64_t t = 0;

	if (!clock_parse_pg(get_string(g, m), &t))
		refuse(g, m->value, m->key, "is not an RFC 3339 time");
	return t;
}

/* A value that is kept as JSON text.  The view shows it as jsonb, which would
 * keep only one of two members with the same key. */
static struct view
get_json(struct reading *g, const struct json_member *m, enum json_kind kind)
{
	struct json_error je;

	if (m->kind == JSON_NULL)
		return VIEW_NULL;
	if (m->kind != kind)
		refuse(g, m->value, m->key,
		    kind == JSON_ARRAY ? "is neither an array nor null"
				       : "is neither an object nor null");
	else if (!json_storable(m->value, JSON_STORE_DEPTH + 1, true, &je))
		refuse_json(g, m->value, m->key, &je);
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
		else if (!quoted && strchr(", \t\r\n", c) == NULL)
			return false;
	}
	return true;
}

static struct view
get_names(struct reading *g, const struct json_member *m)
{
	struct view v = get_json(g, m, JSON_ARRAY);

	if (!g->failed && v.p != NULL && !all_strings(v))
		refuse(g, m->value, m->key, "is not an array of strings");
	return v;
}

static struct view
get_operation(struct reading *g, const struct json_member *m)
{
	static const struct view known[] = {NAME("INSERT"), NAME("UPDATE"),
	    NAME("DELETE"), NAME("TRUNCATE"), NAME("MESSAGE")};
	struct view v = get_string(g, m);

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (view_eq(v, known[i]))
			return v;
	}
	refuse(g, m->value, m->key, "is not a known operation");
	return v;
}

/* The members of metadata that have not been taken out, as an object of their
 * own in scratch. */
static struct view
rest_of_metadata(struct reading *g, const struct json_reader *nested)
{
	struct buf *s = &g->r->scratch;
	size_t from = s->len;

	for (size_t i = 0; i < nested->nmembers; i++) {
		const struct json_member *m = &nested->members[i];

		if (m->value.p == NULL)
			continue;
		buf_addc(s, s->len == from ? '{' : ',');
		buf_addc(s, '"');
		buf_addv(s, m->key);
		buf_add(s, "\":", 2);
		buf_addv(s, m->value);
	}
	if (s->len == from)
		return VIEW_NULL;
	buf_addc(s, '}');
	return (struct view){s->data + from, s->len - from};
}

/* commit_lsn and seq are columns of their own: taken out of metadata. */
static void
get_identity(
    struct reading *g, struct json_reader *nested, bool *commit_lsn, bool *seq)
{
	struct event *e = &g->l->event;

	for (size_t i = 0; i < nested->nmembers && !g->failed; i++) {
		struct json_member *m = &nested->members[i];
		struct view key = unescaped(g, m->key, m->key);

		if (view_eq(key, VIEW_LIT("commit_lsn"))) {
			e->commit_lsn = get_lsn(g, m, NULL);
			if (e->commit_lsn == 0)
				refuse(g, m->value, m->key, "is 0/0");
			*commit_lsn = true;
			m->value = VIEW_NULL;
		} else if (view_eq(key, VIEW_LIT("seq"))) {
			e->seq = (uint64_t)get_i64(g, m, 1);
			*seq = true;
			m->value = VIEW_NULL;
		}
	}
}

static void
get_metadata(struct reading *g, const struct json_member *metadata)
{
	struct json_reader *nested = &g->r->nested;
	struct event *e = &g->l->event;
	bool commit_lsn = false, seq = false;
	struct json_error je;

	e->metadata = get_json(g, metadata, JSON_OBJECT);
	if (g->failed || e->metadata.p == NULL)
		return;
	if (!json_read_object(nested, e->metadata, &je)) {
		refuse_json(g, e->metadata, metadata->key, &je);
		return;
	}
	get_identity(g, nested, &commit_lsn, &seq);
	if (commit_lsn != seq)
		refuse(g, metadata->value, metadata->key,
		    "has only one of commit_lsn and seq");
	if (commit_lsn)
		e->metadata = rest_of_metadata(g, nested);
}

static void
get_field(struct reading *g, enum field f, const struct json_member *m)
{
	struct event *e = &g->l->event;
	struct stream_start *s = &g->l->start;

	switch (f) {
	case F_SOURCE_ID:
		e->source_id = s->source_id = get_name(g, m);
		break;
	case F_SCHEMA_NAME:
		e->schema_name = get_string(g, m);
		break;
	case F_TABLE_NAME:
		e->table_name = get_string(g, m);
		break;
	case F_OPERATION:
		e->operation = get_operation(g, m);
		break;
	case F_LSN:
		s->lsn = get_lsn(g, m, &e->lsn);
		break;
	case F_TRANSACTION_ID:
		e->has_transaction_id = m->kind != JSON_NULL;
		if (e->has_transaction_id)
			e->transaction_id = get_i64(g, m, 0);
		break;
	case F_KEY_COLUMNS:
		e->key_columns = get_names(g, m);
		break;
	case F_BEFORE_DATA:
		e->before_data = get_json(g, m, JSON_OBJECT);
		break;
	case F_AFTER_DATA:
		e->after_data = get_json(g, m, JSON_OBJECT);
		break;
	case F_EVENT_TIME:
		e->event_time = get_time(g, m);
		break;
	case F_METADATA:
		get_metadata(g, m);
		break;
	case F_SYSTEM_ID:
		s->system_id = get_name(g, m);
		break;
	case F_TIMELINE:
		s->timeline = get_timeline(g, m);
		break;
	case F_HISTORY:
		s->history = get_json(g, m, JSON_ARRAY);
		if (s->history.p == NULL)
			refuse(g, m->value, m->key, "is null");
		break;
	case F_SLOT:
		s->slot = get_name(g, m);
		break;
	case F_FLUSH:
		s->flush = get_lsn(g, m, NULL);
		break;
	case F_ACK:
		g->l->ack = get_name(g, m);
		if (g->l->ack.n > ACK_MAX)
			refuse(g, m->value, m->key, "is too long");
		for (size_t i = 0; i < g->l->ack.n; i++) {
			if ((unsigned char)g->l->ack.p[i] < 0x20)
				refuse(g, m->value, m->key,
				    "holds a control character");
		}
		break;
	case F_CONTROL:
	case F_ID:
	case F_CREATED_AT:
	case F_PROCESSED_AT:
	case F_MAX:
		break;
	}
}

static enum field
find_field(struct view key, size_t guess)
{
	/* lines of our own have the fields in order */
	for (size_t i = guess; i < F_MAX; i++) {
		if (view_eq(key, field_names[i]))
			return (enum field)i;
	}
	for (size_t i = 0; i < guess && i < F_MAX; i++) {
		if (view_eq(key, field_names[i]))
			return (enum field)i;
	}
	return F_MAX;
}

static void
require(struct reading *g, unsigned seen, unsigned required)
{
	for (unsigned f = 0; f < F_MAX; f++) {
		if ((required & ~seen & BIT(f)) != 0)
			refuse(g, VIEW_NULL, field_names[f], "is missing");
	}
}

static unsigned
get_members(struct reading *g, unsigned known)
{
	const struct json_reader *json = &g->r->json;
	unsigned seen = 0;
	size_t guess = 0;

	for (size_t i = 0; i < json->nmembers && !g->failed; i++) {
		const struct json_member *m = &json->members[i];
		struct view key = unescaped(g, m->key, m->key);
		enum field f = find_field(key, guess);

		if (f == F_MAX || (known & BIT(f)) == 0)
			refuse(g, m->key, m->key, "is not a known key");
		else if ((seen & BIT(f)) != 0)
			refuse(g, m->key, m->key, "is there twice");
		else
			get_field(g, f, m);
		seen |= f < F_MAX ? BIT(f) : 0;
		guess = f + 1;
	}
	return seen;
}

/* The kind of line, by its member "control". */
static unsigned
classify(struct reading *g)
{
	const struct json_reader *json = &g->r->json;

	for (size_t i = 0; i < json->nmembers; i++) {
		const struct json_member *m = &json->members[i];

		if (!view_eq(m->key, field_names[F_CONTROL]))
			continue;
		if (view_eq(m->value, VIEW_LIT("\"checkpoint\""))) {
			g->l->kind = LINE_CHECKPOINT;
			return checkpoint_fields;
		}
		if (view_eq(m->value, VIEW_LIT("\"start\""))) {
			g->l->kind = LINE_START;
			return start_fields;
		}
		g->e->control = true;
		refuse(g, m->value, m->key, "is not a known control line");
	}
	g->l->kind = LINE_EVENT;
	return event_known;
}

/* Of an event that was refused: which one is it?  Its metadata may stand behind
 * what was wrong. */
static void
identify(struct reading *g)
{
	struct line_error ignored = {0}, *e = g->e;
	struct reading again = {g->r, g->line, g->l, &ignored, false};
	const struct json_reader *json = &g->r->json;

	buf_clear(&g->r->scratch);
	g->l->event.commit_lsn = g->l->event.seq = 0;
	for (size_t i = 0; i < json->nmembers; i++) {
		const struct json_member *m = &json->members[i];

		again.failed = false;
		if (view_eq(m->key, field_names[F_SOURCE_ID]))
			e->source_id = get_name(&again, m);
		if (view_eq(m->key, field_names[F_METADATA]))
			get_metadata(&again, m);
	}
	if (g->l->event.commit_lsn != 0 && g->l->event.seq != 0) {
		e->commit_lsn = g->l->event.commit_lsn;
		e->seq = g->l->event.seq;
	}
}

/* Room for all that may be decoded, so that scratch never moves: decoded text
 * is no longer than the raw, and metadata is taken apart once more. */
static bool
reserve_scratch(struct event_json_reader *r)
{
	size_t need = 16;

	for (size_t i = 0; i < r->json.nmembers; i++) {
		const struct json_member *m = &r->json.members[i];

		need += m->key.n;
		if (!view_eq(m->key, field_names[F_BEFORE_DATA]) &&
		    !view_eq(m->key, field_names[F_AFTER_DATA]))
			need += 2 * m->value.n;
	}
	return buf_reserve(&r->scratch, need) != NULL;
}

bool
event_json_is_control(struct view line)
{
	static const struct view start = NAME("{\"control\"");

	return line.n >= start.n && memcmp(line.p, start.p, start.n) == 0;
}

bool
event_json_get(struct event_json_reader *r, struct view line,
    struct stream_line *l, struct line_error *e)
{
	struct reading g = {r, line, l, e, false};
	struct json_error je;
	unsigned known, seen;

	*l = (struct stream_line){0};
	*e = (struct line_error){0};
	buf_clear(&r->scratch);
	if (!json_read_object(&r->json, line, &je)) {
		refuse_json(&g, line, VIEW_NULL, &je);
		e->control = event_json_is_control(line);
		return false;
	}
	if (!reserve_scratch(r)) {
		refuse(&g, VIEW_NULL, VIEW_NULL, "out of memory");
		return false;
	}
	known = classify(&g);
	seen = get_members(&g, known);
	if (!g.failed)
		require(
		    &g, seen, known == event_known ? event_required : known);
	if (g.failed && known != event_known)
		e->control = true;
	else if (g.failed)
		identify(&g);
	return !g.failed;
}

void
event_json_reader_release(struct event_json_reader *r)
{
	json_reader_release(&r->json);
	json_reader_release(&r->nested);
	buf_release(&r->scratch);
}

/* Without the white space that JSON allows and an LSN does not. */
static void
squeeze(struct buf *to, struct view json)
{
	for (size_t i = 0; i < json.n; i++) {
		if (strchr(" \t\r\n", json.p[i]) == NULL)
			buf_addc(to, json.p[i]);
	}
	buf_str(to);
}

/* history = [ [timeline,"LSN"], … ] */
bool
stream_history_find(
    struct view history, uint32_t timeline, uint64_t *switch_lsn)
{
	struct buf pattern = BUF_INIT, text = BUF_INIT;
	const char *at = NULL;
	bool found = false;
	size_t n;

	squeeze(&text, history);
	buf_addf(&pattern, "[%u,\"", (unsigned)timeline);
	if (!text.failed && !pattern.failed)
		at = strstr(text.data, pattern.data);
	if (at != NULL) {
		at += pattern.len;
		n = strcspn(at, "\"");
		found = at[n] == '"' &&
		    lsn_parse((struct view){at, n}, switch_lsn);
	}
	buf_release(&pattern);
	buf_release(&text);
	return found;
}
