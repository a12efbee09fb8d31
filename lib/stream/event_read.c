/*
 * line       = event | start | checkpoint | other
 * event      = { id? source_id schema_name table_name operation lsn
 *                transaction_id key_columns before_data after_data event_time
 *                metadata created_at? processed_at? }
 * metadata   = null | { (commit_lsn seq)? … }
 * start      = { control:"start" source_id system_id timeline history slot lsn
 *                flush }
 * checkpoint = { control:"checkpoint" ack }
 * other      = { control:string … }
 *
 * Members may come in any order; event_write.c writes them in this one.
 */
#include "stream/event_read.h"

#include "base/lsn.h"
#include "base/num.h"

#define ACK_MAX    4000 /* an ack line is one write(2) of at most PIPE_BUF */
#define HEAD_BYTES ((size_t)1024 * 1024) /* where a bad line's names are */

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

#define EVENT_REQUIRED \
	(BIT(F_SOURCE_ID) | BIT(F_SCHEMA_NAME) | BIT(F_TABLE_NAME) | \
	    BIT(F_OPERATION) | BIT(F_LSN) | BIT(F_EVENT_TIME))
#define EVENT_OPTIONAL \
	(BIT(F_ID) | BIT(F_TRANSACTION_ID) | BIT(F_KEY_COLUMNS) | \
	    BIT(F_BEFORE_DATA) | BIT(F_AFTER_DATA) | BIT(F_METADATA) | \
	    BIT(F_CREATED_AT) | BIT(F_PROCESSED_AT))
#define START_FIELDS \
	(BIT(F_CONTROL) | BIT(F_SOURCE_ID) | BIT(F_SYSTEM_ID) | \
	    BIT(F_TIMELINE) | BIT(F_HISTORY) | BIT(F_SLOT) | BIT(F_LSN) | \
	    BIT(F_FLUSH))
#define CHECKPOINT_FIELDS (BIT(F_CONTROL) | BIT(F_ACK))

static const struct known {
	unsigned allowed;
	unsigned required;
} known_fields[] = {
    [LINE_EVENT] = {EVENT_REQUIRED | EVENT_OPTIONAL, EVENT_REQUIRED},
    [LINE_START] = {START_FIELDS, START_FIELDS},
    [LINE_CHECKPOINT] = {CHECKPOINT_FIELDS, CHECKPOINT_FIELDS},
};

/* One line being read. */
struct reading {
	struct member_reader f;
	struct event_reader *r;
	struct stream_line *l;
};

/* The members of metadata that have not been taken out, as an object of their
 * own in scratch. */
static struct view
rest_of_metadata(struct reading *g, const struct json_reader *nested)
{
	struct buf *s = &g->r->scratch;
	size_t from = s->len;

	for (size_t i = 0; i < nested->members.n; i++) {
		const struct json_member *m = &nested->members.a[i];

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

	for (size_t i = 0; i < nested->members.n && !g->f.failed; i++) {
		struct json_member *m = &nested->members.a[i];
		struct view key = member_key(&g->f, m);

		if (view_eq(key, VIEW_LIT("commit_lsn"))) {
			e->commit_lsn = member_lsn(&g->f, m, NULL);
			if (e->commit_lsn == 0)
				member_refuse(
				    &g->f, m->value, m->key, "is 0/0");
			*commit_lsn = true;
			m->value = VIEW_NULL;
		} else if (view_eq(key, VIEW_LIT("seq"))) {
			e->seq = (uint64_t)member_i64(&g->f, m, 1);
			*seq = true;
			m->value = VIEW_NULL;
		}
	}
}

/*
 * {"commit_lsn":"X/Y","seq":N}, which is what metadata is as a rule, and as we
 * write it: no parser is needed.  False: it is something else.
 */
static bool
get_bare_identity(struct event *e, struct view metadata)
{
	static const struct view head = NAME("{\"commit_lsn\":\""),
				 middle = NAME("\",\"seq\":");
	const char *p = metadata.p + head.n, *end = metadata.p + metadata.n - 1;
	const char *quote;
	uint64_t lsn;
	int64_t seq;

	if (p > end || memcmp(metadata.p, head.p, head.n) != 0)
		return false;
	quote = memchr(p, '"', (size_t)(end - p));
	if (quote == NULL || (size_t)(end - quote) < middle.n ||
	    memcmp(quote, middle.p, middle.n) != 0 ||
	    !lsn_parse((struct view){p, (size_t)(quote - p)}, &lsn) || lsn == 0)
		return false;
	p = quote + middle.n;
	if (!num_parse_i64((struct view){p, (size_t)(end - p)}, &seq) ||
	    seq == 0)
		return false;
	e->commit_lsn = lsn;
	e->seq = (uint64_t)seq;
	return true;
}

static void
get_metadata(struct reading *g, const struct json_member *metadata)
{
	struct json_reader *nested = &g->r->nested;
	struct event *e = &g->l->event;
	bool commit_lsn = false, seq = false;
	struct json_error je;

	e->metadata = member_json(&g->f, metadata, JSON_OBJECT);
	if (g->f.failed || e->metadata.p == NULL)
		return;
	if (get_bare_identity(e, e->metadata)) {
		e->metadata = VIEW_NULL;
		return;
	}
	if (!json_read_object(nested, e->metadata, &je)) {
		member_refuse_json(&g->f, e->metadata, metadata->key, &je);
		return;
	}
	get_identity(g, nested, &commit_lsn, &seq);
	if (commit_lsn != seq)
		member_refuse(&g->f, metadata->value, metadata->key,
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
		e->source_id = s->source_id = member_name(&g->f, m);
		if (e->source_id.n > SOURCE_ID_MAX)
			member_refuse(&g->f, m->value, m->key, "is too long");
		break;
	case F_SCHEMA_NAME:
		e->schema_name = member_string(&g->f, m);
		break;
	case F_TABLE_NAME:
		e->table_name = member_string(&g->f, m);
		break;
	case F_OPERATION:
		e->operation = member_operation(&g->f, m);
		break;
	case F_LSN:
		s->lsn = member_lsn(&g->f, m, &e->lsn);
		break;
	case F_TRANSACTION_ID:
		e->has_transaction_id = m->kind != JSON_NULL;
		if (e->has_transaction_id)
			e->transaction_id = member_i64(&g->f, m, 0);
		break;
	case F_KEY_COLUMNS:
		e->key_columns = member_strings(&g->f, m);
		break;
	case F_BEFORE_DATA:
		e->before_data = member_json(&g->f, m, JSON_OBJECT);
		break;
	case F_AFTER_DATA:
		e->after_data = member_json(&g->f, m, JSON_OBJECT);
		break;
	case F_EVENT_TIME:
		e->event_time = member_time(&g->f, m);
		break;
	case F_METADATA:
		get_metadata(g, m);
		break;
	case F_SYSTEM_ID:
		s->system_id = member_name(&g->f, m);
		break;
	case F_TIMELINE:
		s->timeline = member_timeline(&g->f, m);
		break;
	case F_HISTORY:
		s->history = member_json(&g->f, m, JSON_ARRAY);
		if (s->history.p == NULL)
			member_refuse(&g->f, m->value, m->key, "is null");
		break;
	case F_SLOT:
		s->slot = member_name(&g->f, m);
		break;
	case F_FLUSH:
		s->flush = member_lsn(&g->f, m, NULL);
		break;
	case F_ACK:
		g->l->ack = member_name(&g->f, m);
		if (g->l->ack.n > ACK_MAX)
			member_refuse(&g->f, m->value, m->key, "is too long");
		for (size_t i = 0; i < g->l->ack.n; i++) {
			if ((unsigned char)g->l->ack.p[i] < 0x20)
				member_refuse(&g->f, m->value, m->key,
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
			member_refuse(
			    &g->f, VIEW_NULL, field_names[f], "is missing");
	}
}

static unsigned
get_members(struct reading *g, unsigned known)
{
	const struct json_reader *json = &g->r->json;
	unsigned seen = 0;
	size_t guess = 0;

	for (size_t i = 0; i < json->members.n && !g->f.failed; i++) {
		const struct json_member *m = &json->members.a[i];
		struct view key = member_key(&g->f, m);
		enum field f = find_field(key, guess);

		if (f == F_MAX || (known & BIT(f)) == 0)
			member_refuse(
			    &g->f, m->key, m->key, "is not a known key");
		else if ((seen & BIT(f)) != 0)
			member_refuse(&g->f, m->key, m->key, "is there twice");
		else
			get_field(g, f, m);
		seen |= f < F_MAX ? BIT(f) : 0;
		guess = f + 1;
	}
	return seen;
}

/* By the member "control", if there is one. */
static enum line_kind
classify(struct reading *g)
{
	const struct json_reader *json = &g->r->json;

	for (size_t i = 0; i < json->members.n; i++) {
		const struct json_member *m = &json->members.a[i];

		if (!view_eq(m->key, field_names[F_CONTROL]))
			continue;
		if (view_eq(m->value, VIEW_LIT("\"checkpoint\"")))
			return LINE_CHECKPOINT;
		if (view_eq(m->value, VIEW_LIT("\"start\"")))
			return LINE_START;
		if (view_eq(m->value, VIEW_LIT("\"alive\"")))
			return LINE_ALIVE;
		member_name(&g->f, m);
		return LINE_OTHER;
	}
	return LINE_EVENT;
}

/* Room for all that may be decoded, so that scratch never moves: decoded text
 * is no longer than the raw, and metadata is taken apart once more. */
static bool
reserve_scratch(struct event_reader *r)
{
	size_t need = 16;

	for (size_t i = 0; i < r->json.members.n; i++) {
		const struct json_member *m = &r->json.members.a[i];

		need += m->key.n;
		if (!view_eq(m->key, field_names[F_BEFORE_DATA]) &&
		    !view_eq(m->key, field_names[F_AFTER_DATA]))
			need += 2 * m->value.n;
	}
	return buf_reserve(&r->scratch, need) != NULL;
}

/* Of an event that was refused: which one is it?  Its metadata may stand behind
 * what was wrong. */
static void
identify(struct reading *g)
{
	struct line_error ignored = {0}, *e = g->f.e;
	struct reading again = {
	    {&g->r->scratch, g->f.line, &ignored, false, false}, g->r, g->l};
	const struct json_reader *json = &g->r->json;
	struct view lsn;

	buf_clear(&g->r->scratch);
	g->l->event.commit_lsn = g->l->event.seq = 0;
	for (size_t i = 0; i < json->members.n; i++) {
		const struct json_member *m = &json->members.a[i];

		again.f.failed = false;
		if (view_eq(m->key, field_names[F_SOURCE_ID]))
			e->source_id = member_name(&again.f, m);
		if (view_eq(m->key, field_names[F_SCHEMA_NAME]))
			e->schema_name = member_string(&again.f, m);
		if (view_eq(m->key, field_names[F_TABLE_NAME]))
			e->table_name = member_name(&again.f, m);
		if (view_eq(m->key, field_names[F_LSN]) &&
		    member_lsn(&again.f, m, &lsn) != 0)
			e->lsn = lsn;
		if (view_eq(m->key, field_names[F_METADATA]))
			get_metadata(&again, m);
	}
	if (g->l->event.commit_lsn != 0 && g->l->event.seq != 0) {
		e->commit_lsn = g->l->event.commit_lsn;
		e->seq = g->l->event.seq;
	}
}

void
event_read_identify(
    struct event_reader *r, struct view line, struct line_error *e)
{
	struct stream_line l = {0};
	struct reading g = {{&r->scratch, line, e, false, false}, r, &l};

	if (line.n > HEAD_BYTES)
		line.n = HEAD_BYTES;
	json_scan_head(line, &r->json.members);
	buf_clear(&r->scratch);
	if (!e->control && reserve_scratch(r))
		identify(&g);
}

bool
event_read_is_control(struct view line)
{
	static const struct view start = NAME("{\"control\"");

	return line.n >= start.n && memcmp(line.p, start.p, start.n) == 0;
}

bool
event_read(struct event_reader *r, struct view line, struct stream_line *l,
    struct line_error *e)
{
	struct reading g = {{&r->scratch, line, e, false, false}, r, l};
	const struct known *known;
	struct json_error je;
	unsigned seen;

	*l = (struct stream_line){0};
	*e = (struct line_error){0};
	buf_clear(&r->scratch);
	if (!json_read_object(&r->json, line, &je)) {
		member_refuse_json(&g.f, line, VIEW_NULL, &je);
		e->control = event_read_is_control(line);
		event_read_identify(r, line, e);
		return false;
	}
	g.f.storable = r->json.storable;
	if (!reserve_scratch(r)) {
		member_refuse(&g.f, VIEW_NULL, VIEW_NULL, "out of memory");
		return false;
	}
	l->kind = classify(&g);
	if (l->kind < LINE_ALIVE) {
		known = &known_fields[l->kind];
		seen = get_members(&g, known->allowed);
		if (!g.f.failed)
			require(&g, seen, known->required);
	}
	if (g.f.failed && l->kind != LINE_EVENT)
		e->control = true;
	else if (g.f.failed)
		identify(&g);
	return !g.f.failed;
}

void
event_reader_release(struct event_reader *r)
{
	json_reader_release(&r->json);
	json_reader_release(&r->nested);
	buf_release(&r->scratch);
}
