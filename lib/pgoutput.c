/*
 * pgoutput, protocol version 1 (PostgreSQL manual, chapter "Frontend/Backend
 * Protocol", section "Logical Replication Message Formats").  Integers are
 * big-endian, string is NUL-terminated.
 *
 *	Begin    'B' int64 final_lsn, int64 commit_time, int32 xid
 *	Commit   'C' int8 flags, int64 commit_lsn, int64 end_lsn, int64 time
 *	Origin   'O' int64 commit_lsn, string name
 *	Relation 'R' int32 oid, string schema, string name, int8 identity,
 *	             int16 n, n * (int8 flags, string name, int32 type, int32
 *mod) Type     'Y' int32 oid, string schema, string name Insert   'I' int32
 *oid, 'N' tuple Update   'U' int32 oid, ('K' tuple | 'O' tuple)?, 'N' tuple
 *	Delete   'D' int32 oid, ('K' tuple | 'O' tuple)
 *	Truncate 'T' int32 n, int8 options, n * int32 oid
 *	Message  'M' int8 flags, int64 lsn, string prefix, int32 n, byte[n]
 *	tuple    int16 n, n * ('n' | 'u' | 't' int32 length, byte[length])
 *
 * 'n' is null, or in a 'K' tuple a column outside the key; 'u' is a TOASTed
 * value that did not change and was not sent.
 */
#include "pgoutput.h"

#include <stdlib.h>

#include "json_write.h"
#include "lsn.h"
#include "pgvalue.h"
#include "relation.h"

#define COLUMN_KEY         1 /* flag of a Relation's column */
#define TRUNCATE_CASCADE   1
#define TRUNCATE_RESTART   2
#define MESSAGE_TRANSACTED 1

/* A column of a tuple: 'n', 'u' or 't' with its text. */
struct field {
	char kind;
	struct view text;
};

struct tuple {
	char role; /* 'K', 'O', 'N'; 0: not there */
	size_t n;
	struct field *fields;
	size_t cap;
};

struct pgoutput {
	struct view rest; /* of the message, unread */
	uint64_t lsn;
	int64_t time; /* of sending it */
	char type;    /* of the message; 0: not begun */
	const char *reason;

	bool in_transaction;
	uint64_t commit_lsn;
	uint64_t commit_end;
	int64_t commit_time;
	uint32_t xid;
	uint64_t seq;

	uint32_t truncate_left; /* relations still to come */
	uint8_t truncate_options;

	struct relation_cache relations;
	struct tuple old;
	struct tuple new;
	char lsn_text[LSN_TEXT_MAX];
	struct buf before;
	struct buf after;
	struct buf metadata;
	struct buf unchanged; /* "a","b" */
	struct buf json_text; /* "a","b" */
};

struct pgoutput *
pgoutput_new(void)
{
	return calloc(1, sizeof(struct pgoutput));
}

void
pgoutput_free(struct pgoutput *d)
{
	if (d == NULL)
		return;
	relation_cache_release(&d->relations);
	free(d->old.fields);
	free(d->new.fields);
	buf_release(&d->before);
	buf_release(&d->after);
	buf_release(&d->metadata);
	buf_release(&d->unchanged);
	buf_release(&d->json_text);
	free(d);
}

bool
pgoutput_in_transaction(const struct pgoutput *d)
{
	return d->in_transaction;
}

uint64_t
pgoutput_commit_end(const struct pgoutput *d)
{
	return d->commit_end;
}

const char *
pgoutput_reason(const struct pgoutput *d)
{
	return d->reason;
}

/* Bounds live here: the first failure sticks, further reads give nothing. */

static void
bad(struct pgoutput *d, const char *reason)
{
	if (d->reason == NULL)
		d->reason = reason;
}

static uint64_t
get_uint(struct pgoutput *d, size_t bytes)
{
	uint64_t v = 0;

	if (d->rest.n < bytes)
		bad(d, "the message is truncated");
	if (d->reason != NULL)
		return 0;
	for (size_t i = 0; i < bytes; i++)
		v = v << 8 | (unsigned char)d->rest.p[i];
	d->rest = (struct view){d->rest.p + bytes, d->rest.n - bytes};
	return v;
}

static struct view
get_bytes(struct pgoutput *d, size_t n)
{
	struct view v = {d->rest.p, n};

	if (d->rest.n < n)
		bad(d, "a length goes beyond the message");
	if (d->reason != NULL)
		return VIEW_NULL;
	d->rest = (struct view){d->rest.p + n, d->rest.n - n};
	return v;
}

static struct view
get_string(struct pgoutput *d)
{
	const char *end = d->rest.n > 0 ? memchr(d->rest.p, '\0', d->rest.n)
					: NULL;
	struct view v;

	if (end == NULL)
		bad(d, "a string has no end");
	if (d->reason != NULL)
		return VIEW_LIT("");
	v = get_bytes(d, (size_t)(end - d->rest.p));
	get_bytes(d, 1);
	if (!utf8_valid(v))
		bad(d, "a name is not UTF-8");
	return v;
}

static void
get_field(struct pgoutput *d, struct field *f)
{
	uint64_t n;

	*f = (struct field){.kind = (char)get_uint(d, 1)};
	if (f->kind == 'n' || f->kind == 'u')
		return;
	if (f->kind != 't') {
		bad(d, "a column is of an unknown kind");
		return;
	}
	n = get_uint(d, 4);
	f->text = get_bytes(d, (size_t)n);
	if (d->reason == NULL && !utf8_valid(f->text))
		bad(d, "a value is not UTF-8");
}

static void
get_tuple(
    struct pgoutput *d, struct tuple *t, char role, const struct relation *r)
{
	struct field *fields;
	size_t n = (size_t)get_uint(d, 2);

	if (d->reason == NULL && n != r->ncolumns)
		bad(d, "a row and its relation differ in columns");
	if (n > t->cap && d->reason == NULL) {
		fields = realloc(t->fields, n * sizeof(*fields));
		if (fields == NULL) {
			bad(d, "out of memory");
			return;
		}
		t->fields = fields;
		t->cap = n;
	}
	t->role = role;
	t->n = n;
	for (size_t i = 0; i < n && d->reason == NULL; i++)
		get_field(d, &t->fields[i]);
}

static struct relation *
get_relation(struct pgoutput *d)
{
	uint32_t oid = (uint32_t)get_uint(d, 4);
	struct relation *r = relation_find(&d->relations, oid);

	if (r == NULL)
		bad(d, "a change of a relation that was not described");
	return d->reason == NULL ? r : NULL;
}

/* Messages without an event */

static void
on_begin(struct pgoutput *d)
{
	uint64_t final_lsn = get_uint(d, 8);

	if (d->in_transaction)
		bad(d, "a transaction begins inside another");
	if (final_lsn <= d->commit_lsn)
		bad(d, "a transaction comes after a later one");
	d->commit_lsn = final_lsn;
	d->commit_time = (int64_t)get_uint(d, 8);
	d->xid = (uint32_t)get_uint(d, 4);
	d->in_transaction = true;
	d->seq = 0;
}

static void
on_commit(struct pgoutput *d)
{
	uint64_t commit_lsn, end;

	get_uint(d, 1); /* flags, unused */
	commit_lsn = get_uint(d, 8);
	end = get_uint(d, 8);
	get_uint(d, 8); /* the time is Begin's */
	if (!d->in_transaction)
		bad(d, "a commit without a transaction");
	else if (commit_lsn != d->commit_lsn)
		bad(d, "a commit of another transaction");
	d->commit_end = end;
	d->in_transaction = false;
}

static void
on_relation(struct pgoutput *d)
{
	uint32_t oid = (uint32_t)get_uint(d, 4);
	struct view schema = get_string(d), name = get_string(d);
	struct relation *r;
	size_t n;

	get_uint(d, 1); /* replica identity: the columns' flags tell */
	n = (size_t)get_uint(d, 2);
	if (d->reason != NULL)
		return;
	r = relation_replace(&d->relations, oid, n);
	if (r == NULL) {
		bad(d, "out of memory");
		return;
	}
	/* pg_catalog goes by the empty string on the wire */
	r->schema_name = schema.n > 0 ? schema : VIEW_LIT("pg_catalog");
	r->table_name = name;
	for (size_t i = 0; i < n; i++) {
		r->columns[i].key = (get_uint(d, 1) & COLUMN_KEY) != 0;
		r->columns[i].name = get_string(d);
		r->columns[i].type = (uint32_t)get_uint(d, 4);
		get_uint(d, 4); /* type modifier */
	}
	if (d->reason == NULL && !relation_finish(r))
		bad(d, "out of memory");
}

static void
skip_origin(struct pgoutput *d)
{
	get_uint(d, 8);
	get_string(d);
}

static void
skip_type(struct pgoutput *d)
{
	get_uint(d, 4);
	get_string(d);
	get_string(d);
}

/* Events */

/* Adds a column to a list of names, unless it is there already: it may be of
 * the old tuple and of the new. */
static void
list_name(struct buf *list, const struct column *col)
{
	struct view name = {col->json.p, col->json.n - 1};

	for (size_t i = 0; i + name.n <= list->len; i++) {
		if (memcmp(list->data + i, name.p, name.n) == 0 &&
		    (i == 0 || list->data[i - 1] == ','))
			return;
	}
	if (list->len > 0)
		buf_addc(list, ',');
	buf_addv(list, name);
}

/*
 * The tuple as a JSON object.  A value that was not sent is taken from other,
 * the old tuple, if that has it; else the column is absent and listed.
 */
static struct view
render_tuple(struct pgoutput *d, struct buf *b, const struct relation *r,
    const struct tuple *t, const struct tuple *other)
{
	buf_clear(b);
	buf_addc(b, '{');
	for (size_t i = 0; i < t->n; i++) {
		const struct column *col = &r->columns[i];
		const struct field *f = &t->fields[i];

		if (t->role == 'K' && !col->key)
			continue;
		if (f->kind == 'u' && other != NULL && other->role != 0 &&
		    other->fields[i].kind == 't')
			f = &other->fields[i];
		if (f->kind == 'u') {
			list_name(&d->unchanged, col);
			continue;
		}
		if (b->len > 1)
			buf_addc(b, ',');
		buf_addv(b, col->json);
		if (f->kind == 'n')
			buf_addv(b, VIEW_LIT("null"));
		else if (pgvalue_write(b, col->type, f->text))
			list_name(&d->json_text, col);
	}
	buf_addc(b, '}');
	if (b->failed)
		bad(d, "out of memory");
	return buf_view(b);
}

static void
add_metadata(struct buf *m, const char *key, struct view value)
{
	buf_addc(m, m->len == 0 ? '{' : ',');
	buf_addf(m, "\"%s\":", key);
	buf_addv(m, value);
}

static void
add_metadata_list(struct buf *m, const char *key, const struct buf *names)
{
	if (names->len == 0)
		return;
	add_metadata(m, key, VIEW_LIT("["));
	buf_addv(m, buf_view(names));
	buf_addc(m, ']');
}

static struct view
finish_metadata(struct pgoutput *d)
{
	struct buf *m = &d->metadata;

	add_metadata_list(m, "unchanged", &d->unchanged);
	add_metadata_list(m, "json_text", &d->json_text);
	if (m->len == 0)
		return VIEW_NULL;
	buf_addc(m, '}');
	if (m->failed)
		bad(d, "out of memory");
	return buf_view(m);
}

/* What all events of a transaction have; counts it. */
static void
begin_event(struct pgoutput *d, struct event *e, struct view operation)
{
	if (!d->in_transaction)
		bad(d, "a change outside a transaction");
	buf_clear(&d->metadata);
	buf_clear(&d->unchanged);
	buf_clear(&d->json_text);
	d->old.role = d->new.role = 0;
	*e = (struct event){
	    .operation = operation,
	    .lsn = {d->lsn_text, lsn_format(d->lsn_text, d->lsn)},
	    .transaction_id = d->xid,
	    .has_transaction_id = true,
	    .commit_lsn = d->commit_lsn,
	    .seq = ++d->seq,
	    .event_time = d->commit_time,
	};
}

static void
set_relation(struct event *e, const struct relation *r)
{
	e->schema_name = r->schema_name;
	e->table_name = r->table_name;
	e->key_columns = r->key_columns;
}

/* Insert, Update and Delete differ in the tuples that follow. */
static void
on_row(struct pgoutput *d, struct event *e)
{
	const struct relation *r = get_relation(d);
	char role;

	begin_event(d, e,
	    d->type == 'I'       ? VIEW_LIT("INSERT")
		: d->type == 'U' ? VIEW_LIT("UPDATE")
				 : VIEW_LIT("DELETE"));
	if (r == NULL)
		return;
	role = (char)get_uint(d, 1);
	if ((role == 'K' || role == 'O') && d->type != 'I') {
		get_tuple(d, &d->old, role, r);
		role = d->type == 'U' ? (char)get_uint(d, 1) : 0;
	}
	if (role == 'N' && d->type != 'D')
		get_tuple(d, &d->new, role, r);
	else if (role != 0 || d->type != 'D')
		bad(d, "a row of an unknown kind");
	if (d->reason != NULL)
		return;
	set_relation(e, r);
	if (d->old.role != 0)
		e->before_data = render_tuple(d, &d->before, r, &d->old, NULL);
	if (d->new.role != 0)
		e->after_data = render_tuple(d, &d->after, r, &d->new, &d->old);
	e->metadata = finish_metadata(d);
}

static void
on_truncate(struct pgoutput *d, struct event *e)
{
	const struct relation *r = get_relation(d);

	d->truncate_left--;
	begin_event(d, e, VIEW_LIT("TRUNCATE"));
	if (r == NULL)
		return;
	set_relation(e, r);
	if ((d->truncate_options & TRUNCATE_CASCADE) != 0)
		add_metadata(&d->metadata, "cascade", VIEW_LIT("true"));
	if ((d->truncate_options & TRUNCATE_RESTART) != 0)
		add_metadata(
		    &d->metadata, "restart_identity", VIEW_LIT("true"));
	e->metadata = finish_metadata(d);
}

static void
write_content(struct buf *b, struct view content)
{
	static const char hex[] = "0123456789abcdef";

	/* a NUL byte is UTF-8, but no JSON that jsonb could hold */
	if (utf8_valid(content) &&
	    (content.n == 0 || memchr(content.p, '\0', content.n) == NULL)) {
		json_write_string(b, content);
		return;
	}
	buf_addv(b, VIEW_LIT("\"\\\\x"));
	for (size_t i = 0; i < content.n; i++) {
		buf_addc(b, hex[(unsigned char)content.p[i] >> 4]);
		buf_addc(b, hex[(unsigned char)content.p[i] & 15]);
	}
	buf_addc(b, '"');
}

/* One that is not part of a transaction is a transaction of its own. */
static void
on_message(struct pgoutput *d, struct event *e)
{
	bool transacted = (get_uint(d, 1) & MESSAGE_TRANSACTED) != 0;
	uint64_t lsn = get_uint(d, 8);
	struct view prefix = get_string(d), content;

	content = get_bytes(d, (size_t)get_uint(d, 4));
	if (d->reason != NULL)
		return;
	if (transacted) {
		begin_event(d, e, VIEW_LIT("MESSAGE"));
	} else {
		*e = (struct event){
		    .operation = VIEW_LIT("MESSAGE"),
		    .lsn = {d->lsn_text, lsn_format(d->lsn_text, lsn)},
		    .commit_lsn = lsn,
		    .seq = 1,
		    .event_time = d->time,
		};
	}
	e->schema_name = e->table_name = VIEW_LIT("");
	buf_clear(&d->after);
	buf_addv(&d->after, VIEW_LIT("{\"prefix\":"));
	json_write_string(&d->after, prefix);
	buf_addv(&d->after, VIEW_LIT(",\"content\":"));
	write_content(&d->after, content);
	buf_addc(&d->after, '}');
	if (d->after.failed)
		bad(d, "out of memory");
	e->after_data = buf_view(&d->after);
}

void
pgoutput_feed(
    struct pgoutput *d, struct view message, uint64_t lsn, int64_t time)
{
	d->rest = message;
	d->lsn = lsn;
	d->time = time;
	d->type = 0;
}

/* Reads the type and what holds no event; false: there is none to come. */
static bool
begin_message(struct pgoutput *d)
{
	d->type = (char)get_uint(d, 1);
	d->truncate_left = 0;
	switch (d->type) {
	case 'I':
	case 'U':
	case 'D':
	case 'M':
		return true;
	case 'T':
		d->truncate_left = (uint32_t)get_uint(d, 4);
		d->truncate_options = (uint8_t)get_uint(d, 1);
		return d->truncate_left > 0;
	case 'B':
		on_begin(d);
		break;
	case 'C':
		on_commit(d);
		break;
	case 'R':
		on_relation(d);
		break;
	case 'O':
		skip_origin(d);
		break;
	case 'Y':
		skip_type(d);
		break;
	default:
		bad(d, "the message is of an unknown type");
	}
	return false;
}

static enum pgoutput_status
end_message(struct pgoutput *d)
{
	if (d->reason == NULL && d->rest.n > 0)
		bad(d, "the message has a tail");
	if (d->reason != NULL)
		return PGOUTPUT_BAD;
	return d->type == 'C' ? PGOUTPUT_COMMIT : PGOUTPUT_DONE;
}

enum pgoutput_status
pgoutput_next(struct pgoutput *d, struct event *e)
{
	bool more = d->type == 0 ? begin_message(d) : d->truncate_left > 0;

	if (!more || d->reason != NULL)
		return end_message(d);
	if (d->type == 'T')
		on_truncate(d, e);
	else if (d->type == 'M')
		on_message(d, e);
	else
		on_row(d, e);
	if (d->reason == NULL && d->truncate_left == 0 && d->rest.n > 0)
		bad(d, "the message has a tail");
	return d->reason == NULL ? PGOUTPUT_EVENT : PGOUTPUT_BAD;
}
