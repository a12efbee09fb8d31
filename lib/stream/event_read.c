/*
 * line       = event | start | checkpoint | schema | other
 * event      = { id? source_id schema_name table_name operation lsn
 *                transaction_id key_columns before_data after_data event_time
 *                metadata created_at? processed_at? }
 * metadata   = null | { (commit_lsn seq)? … }
 * start      = { control:"start" source_id system_id timeline history slot lsn
 *                flush }
 * checkpoint = { control:"checkpoint" ack }
 * schema     = { control:"schema" source_id schema_name table_name schema … }
 * other      = { control:string … }
 *
 * Members may come in any order; event_write.c writes them in this order.
 */
#include "stream/event_read.h"

#include "base/lsn.h"
#include "base/num.h"

#define ACK_MAX    4000 /* an ack line is one write(2) of at most PIPE_BUF */
#define HEAD_BYTES ((size_t)1024 * 1024) /* searched for a bad line's names */

enum name {
	M_ID,
	M_SOURCE_ID,
	M_SCHEMA_NAME,
	M_TABLE_NAME,
	M_OPERATION,
	M_LSN,
	M_TRANSACTION_ID,
	M_KEY_COLUMNS,
	M_BEFORE_DATA,
	M_AFTER_DATA,
	M_EVENT_TIME,
	M_METADATA,
	M_CREATED_AT,
	M_PROCESSED_AT,
	M_CONTROL,
	M_SYSTEM_ID,
	M_TIMELINE,
	M_HISTORY,
	M_SLOT,
	M_FLUSH,
	M_ACK,
	M_SCHEMA,
	M_MAX,
};

#define NAME(s) \
	{ \
		s, sizeof(s) - 1 \
	}

static const struct view names[M_MAX] = {
    [M_ID] = NAME("id"),
    [M_SOURCE_ID] = NAME("source_id"),
    [M_SCHEMA_NAME] = NAME("schema_name"),
    [M_TABLE_NAME] = NAME("table_name"),
    [M_OPERATION] = NAME("operation"),
    [M_LSN] = NAME("lsn"),
    [M_TRANSACTION_ID] = NAME("transaction_id"),
    [M_KEY_COLUMNS] = NAME("key_columns"),
    [M_BEFORE_DATA] = NAME("before_data"),
    [M_AFTER_DATA] = NAME("after_data"),
    [M_EVENT_TIME] = NAME("event_time"),
    [M_METADATA] = NAME("metadata"),
    [M_CREATED_AT] = NAME("created_at"),
    [M_PROCESSED_AT] = NAME("processed_at"),
    [M_CONTROL] = NAME("control"),
    [M_SYSTEM_ID] = NAME("system_id"),
    [M_TIMELINE] = NAME("timeline"),
    [M_HISTORY] = NAME("history"),
    [M_SLOT] = NAME("slot"),
    [M_FLUSH] = NAME("flush"),
    [M_ACK] = NAME("ack"),
    [M_SCHEMA] = NAME("schema"),
};

#define BIT(f) (1u << (f))

#define EVENT_REQUIRED \
	(BIT(M_SOURCE_ID) | BIT(M_SCHEMA_NAME) | BIT(M_TABLE_NAME) | \
	    BIT(M_OPERATION) | BIT(M_LSN) | BIT(M_EVENT_TIME))
#define EVENT_OPTIONAL \
	(BIT(M_ID) | BIT(M_TRANSACTION_ID) | BIT(M_KEY_COLUMNS) | \
	    BIT(M_BEFORE_DATA) | BIT(M_AFTER_DATA) | BIT(M_METADATA) | \
	    BIT(M_CREATED_AT) | BIT(M_PROCESSED_AT))
#define START_MEMBERS \
	(BIT(M_CONTROL) | BIT(M_SOURCE_ID) | BIT(M_SYSTEM_ID) | \
	    BIT(M_TIMELINE) | BIT(M_HISTORY) | BIT(M_SLOT) | BIT(M_LSN) | \
	    BIT(M_FLUSH))
#define CHECKPOINT_MEMBERS (BIT(M_CONTROL) | BIT(M_ACK))

static const struct known {
	unsigned allowed;
	unsigned required;
} known_members[] = {
    [LINE_EVENT] = {EVENT_REQUIRED | EVENT_OPTIONAL, EVENT_REQUIRED},
    [LINE_START] = {START_MEMBERS, START_MEMBERS},
    [LINE_CHECKPOINT] = {CHECKPOINT_MEMBERS, CHECKPOINT_MEMBERS},
};

/* One line being read. */
struct reading {
	struct member_reader in;
	struct event_reader *r;
	struct stream_line *l;
};

/* The remaining members of metadata, as an object in scratch. */
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

/* Takes commit_lsn and seq out of metadata: the buffer has columns for them. */
static void
get_identity(
    struct reading *g, struct json_reader *nested, bool *commit_lsn, bool *seq)
{
	struct event *e = &g->l->event;

	for (size_t i = 0; i < nested->members.n && !g->in.failed; i++) {
		struct json_member *m = &nested->members.a[i];
		struct view key = member_key(&g->in, m);

		if (view_eq(key, VIEW_LIT("commit_lsn"))) {
			e->commit_lsn = member_lsn(&g->in, m, NULL);
			if (e->commit_lsn == 0)
				member_refuse(
				    &g->in, m->value, m->key, "is 0/0");
			*commit_lsn = true;
			m->value = VIEW_NULL;
		} else if (view_eq(key, VIEW_LIT("seq"))) {
			e->seq = (uint64_t)member_i64(&g->in, m, 1);
			*seq = true;
			m->value = VIEW_NULL;
		}
	}
}

/*
 * Reads metadata of the usual form, {"commit_lsn":"X/Y","seq":N} as event_write
 * writes it, without a parser.  False: it has another form.
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

	e->metadata = member_json(&g->in, metadata, JSON_OBJECT);
	if (g->in.failed || e->metadata.p == NULL)
		return;
	if (get_bare_identity(e, e->metadata)) {
		e->metadata = VIEW_NULL;
		return;
	}
	if (!json_read_object(nested, e->metadata, &je)) {
		member_refuse_json(&g->in, e->metadata, metadata->key, &je);
		return;
	}
	get_identity(g, nested, &commit_lsn, &seq);
	if (commit_lsn != seq)
		member_refuse(&g->in, metadata->value, metadata->key,
		    "has only one of commit_lsn and seq");
	if (commit_lsn)
		e->metadata = rest_of_metadata(g, nested);
}

static void
get_member(struct reading *g, enum name f, const struct json_member *m)
{
	struct event *e = &g->l->event;
	struct stream_start *s = &g->l->start;

	switch (f) {
	case M_SOURCE_ID:
		e->source_id = s->source_id = member_name(&g->in, m);
		if (e->source_id.n > SOURCE_ID_MAX)
			member_refuse(&g->in, m->value, m->key, "is too long");
		break;
	case M_SCHEMA_NAME:
		e->schema_name = member_string(&g->in, m);
		break;
	case M_TABLE_NAME:
		e->table_name = member_string(&g->in, m);
		break;
	case M_OPERATION:
		e->operation = member_operation(&g->in, m);
		break;
	case M_LSN:
		s->lsn = member_lsn(&g->in, m, &e->lsn);
		break;
	case M_TRANSACTION_ID:
		e->has_transaction_id = m->kind != JSON_NULL;
		if (e->has_transaction_id)
			e->transaction_id = member_i64(&g->in, m, 0);
		break;
	case M_KEY_COLUMNS:
		e->key_columns = member_strings(&g->in, m);
		break;
	case M_BEFORE_DATA:
		e->before_data = member_json(&g->in, m, JSON_OBJECT);
		break;
	case M_AFTER_DATA:
		e->after_data = member_json(&g->in, m, JSON_OBJECT);
		break;
	case M_EVENT_TIME:
		e->event_time = member_time(&g->in, m);
		break;
	case M_METADATA:
		get_metadata(g, m);
		break;
	case M_SYSTEM_ID:
		s->system_id = member_name(&g->in, m);
		break;
	case M_TIMELINE:
		s->timeline = member_timeline(&g->in, m);
		break;
	case M_HISTORY:
		s->history = member_json(&g->in, m, JSON_ARRAY);
		if (s->history.p == NULL)
			member_refuse(&g->in, m->value, m->key, "is null");
		break;
	case M_SLOT:
		s->slot = member_name(&g->in, m);
		break;
	case M_FLUSH:
		s->flush = member_lsn(&g->in, m, NULL);
		break;
	case M_ACK:
		g->l->ack = member_name(&g->in, m);
		if (g->l->ack.n > ACK_MAX)
			member_refuse(&g->in, m->value, m->key, "is too long");
		for (size_t i = 0; i < g->l->ack.n; i++) {
			if ((unsigned char)g->l->ack.p[i] < 0x20)
				member_refuse(&g->in, m->value, m->key,
				    "holds a control character");
		}
		break;
	case M_CONTROL:
	case M_SCHEMA:
	case M_ID:
	case M_CREATED_AT:
	case M_PROCESSED_AT:
	case M_MAX:
		break;
	}
}

static enum name
find_name(struct view key, size_t guess)
{
	/* event_write writes the members in order */
	for (size_t i = guess; i < M_MAX; i++) {
		if (view_eq(key, names[i]))
			return (enum name)i;
	}
	for (size_t i = 0; i < guess && i < M_MAX; i++) {
		if (view_eq(key, names[i]))
			return (enum name)i;
	}
	return M_MAX;
}

static void
require(struct reading *g, unsigned seen, unsigned required)
{
	for (unsigned f = 0; f < M_MAX; f++) {
		if ((required & ~seen & BIT(f)) != 0)
			member_refuse(
			    &g->in, VIEW_NULL, names[f], "is missing");
	}
}

static unsigned
get_members(struct reading *g, unsigned known)
{
	const struct json_reader *json = &g->r->json;
	unsigned seen = 0;
	size_t guess = 0;

	for (size_t i = 0; i < json->members.n && !g->in.failed; i++) {
		const struct json_member *m = &json->members.a[i];
		struct view key = member_key(&g->in, m);
		enum name f = find_name(key, guess);

		if (f == M_MAX || (known & BIT(f)) == 0)
			member_refuse(
			    &g->in, m->key, m->key, "is not a known key");
		else if ((seen & BIT(f)) != 0)
			member_refuse(&g->in, m->key, m->key, "appears twice");
		else
			get_member(g, f, m);
		seen |= f < M_MAX ? BIT(f) : 0;
		guess = f + 1;
	}
	return seen;
}

/* A name in a schema line; *seen is the view that it goes to. */
static void
get_schema_name(
    struct reading *g, const struct json_member *m, struct view *seen)
{
	if (seen->p != NULL)
		member_refuse(&g->in, m->key, m->key, "appears twice");
	*seen = member_name(&g->in, m);
	if (seen->n > NAME_MAX_BYTES)
		member_refuse(&g->in, m->value, m->key, "is too long");
}

static void
get_schema(struct reading *g)
{
	struct stream_schema *s = &g->l->schema;
	const struct {
		enum name name;
		struct view *to;
	} wanted[] = {
	    {M_SOURCE_ID, &s->source_id},
	    {M_SCHEMA_NAME, &s->schema_name},
	    {M_TABLE_NAME, &s->table_name},
	    {M_SCHEMA, &s->schema},
	};
	const struct json_reader *json = &g->r->json;

	s->text = g->in.line;
	for (size_t i = 0; i < json->members.n; i++) {
		const struct json_member *m = &json->members.a[i];
		struct view key = member_key(&g->in, m);

		for (size_t k = 0; k < 4; k++)
			if (view_eq(key, names[wanted[k].name]))
				get_schema_name(g, m, wanted[k].to);
		if (view_eq(key, VIEW_LIT("relid")) && m->kind == JSON_NUMBER)
			s->relid = m->value;
		member_storable(&g->in, m);
	}
	for (size_t k = 0; k < 4; k++)
		if (wanted[k].to->p == NULL)
			member_refuse(&g->in, VIEW_NULL, names[wanted[k].name],
			    "is missing");
}

/* The kind of the line, by its member "control". */
static enum line_kind
classify(struct reading *g)
{
	const struct json_reader *json = &g->r->json;

	for (size_t i = 0; i < json->members.n; i++) {
		const struct json_member *m = &json->members.a[i];

		if (!view_eq(m->key, names[M_CONTROL]))
			continue;
		if (view_eq(m->value, VIEW_LIT("\"checkpoint\"")))
			return LINE_CHECKPOINT;
		if (view_eq(m->value, VIEW_LIT("\"start\"")))
			return LINE_START;
		if (view_eq(m->value, VIEW_LIT("\"alive\"")))
			return LINE_ALIVE;
		if (view_eq(m->value, VIEW_LIT("\"schema\"")))
			return LINE_SCHEMA;
		member_name(&g->in, m);
		return LINE_OTHER;
	}
	return LINE_EVENT;
}

/*
 * Makes room for all text that may be decoded, so that scratch never moves.
 * Decoded text is not longer than raw text, and values count twice, since the
 * members of metadata are decoded, then put together again.
 */
static bool
reserve_scratch(struct event_reader *r)
{
	size_t need = 16;

	for (size_t i = 0; i < r->json.members.n; i++) {
		const struct json_member *m = &r->json.members.a[i];

		need += m->key.n;
		if (!view_eq(m->key, names[M_BEFORE_DATA]) &&
		    !view_eq(m->key, names[M_AFTER_DATA]))
			need += 2 * m->value.n;
	}
	return buf_reserve(&r->scratch, need) != NULL;
}

/* Finds the names and the identity of a refused event for the message, even
 * after the bad member. */
static void
identify(struct reading *g)
{
	struct line_error ignored = {0}, *e = g->in.e;
	struct reading again = {
	    {&g->r->scratch, g->in.line, &ignored, false, false}, g->r, g->l};
	const struct json_reader *json = &g->r->json;
	struct view lsn;

	buf_clear(&g->r->scratch);
	g->l->event.commit_lsn = g->l->event.seq = 0;
	for (size_t i = 0; i < json->members.n; i++) {
		const struct json_member *m = &json->members.a[i];

		again.in.failed = false;
		if (view_eq(m->key, names[M_SOURCE_ID]))
			e->source_id = member_name(&again.in, m);
		if (view_eq(m->key, names[M_SCHEMA_NAME]))
			e->schema_name = member_string(&again.in, m);
		if (view_eq(m->key, names[M_TABLE_NAME]))
			e->table_name = member_name(&again.in, m);
		if (view_eq(m->key, names[M_LSN]) &&
		    member_lsn(&again.in, m, &lsn) != 0)
			e->lsn = lsn;
		if (view_eq(m->key, names[M_METADATA]))
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
		member_refuse_json(&g.in, line, VIEW_NULL, &je);
		e->control = event_read_is_control(line);
		event_read_identify(r, line, e);
		return false;
	}
	g.in.storable = r->json.storable;
	if (!reserve_scratch(r)) {
		member_refuse(&g.in, VIEW_NULL, VIEW_NULL, "out of memory");
		return false;
	}
	l->kind = classify(&g);
	if (l->kind < LINE_ALIVE) {
		known = &known_members[l->kind];
		seen = get_members(&g, known->allowed);
		if (!g.in.failed)
			require(&g, seen, known->required);
	}
	if (l->kind == LINE_SCHEMA)
		get_schema(&g);
	if (g.in.failed && l->kind != LINE_EVENT)
		e->control = true;
	else if (g.in.failed)
		identify(&g);
	return !g.in.failed;
}

void
event_reader_release(struct event_reader *r)
{
	json_reader_release(&r->json);
	json_reader_release(&r->nested);
	buf_release(&r->scratch);
}
