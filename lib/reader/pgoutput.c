/*
 * pgoutput, protocol version 1 (PostgreSQL manual, chapter "Frontend/Backend
 * Protocol", section "Logical Replication Message Formats").  Integers are
 * big-endian, string is NUL-terminated.
 *
 *	Begin    'B' int64 final_lsn, int64 commit_time, int32 xid
 *	Commit   'C' int8 flags, int64 commit_lsn, int64 end_lsn, int64 time
 *	Origin   'O' int64 commit_lsn, string name
 *	Relation 'R' int32 oid, string schema, string name, int8 identity,
 *	             int16 n, n * column
 *	column   int8 flags, string name, int32 type, int32 modifier
 *	Type     'Y' int32 oid, string schema, string name
 *	Insert   'I' int32 oid, 'N' tuple
 *	Update   'U' int32 oid, ('K' tuple | 'O' tuple)?, 'N' tuple
 *	Delete   'D' int32 oid, ('K' tuple | 'O' tuple)
 *	Truncate 'T' int32 n, int8 options, n * int32 oid
 *	Message  'M' int8 flags, int64 lsn, string prefix, int32 n, byte[n]
 *	tuple    int16 n, n * ('n' | 'u' | 't' int32 length, byte[length])
 *
 * 'n' is null, or in a 'K' tuple a column outside the key; 'u' is a TOASTed
 * value that did not change and was not sent.  Messages of later protocol
 * versions (streamed and prepared transactions) and binary columns are sent
 * only on request, so they are errors here.
 */
#include "reader/pgoutput.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/json_write.h"
#include "base/lsn.h"
#include "base/utf8.h"
#include "reader/relation.h"
#include "reader/tuple.h"
#include "reader/typelist.h"
#include "reader/wire.h"

#define COLUMN_KEY         1 /* flag of a Relation's column */
#define TRUNCATE_CASCADE   1
#define TRUNCATE_RESTART   2
#define MESSAGE_TRANSACTED 1
#define COLUMNS_MAX        1664 /* MaxTupleAttributeNumber */

struct pgoutput {
	struct wire in; /* the message */
	uint64_t lsn;   /* its position */
	int64_t time;   /* when the server sent it */
	char type;      /* its type; 0: not read yet */

	bool in_transaction;
	bool alone; /* it is a non-transactional message */
	uint64_t commit_lsn;
	uint64_t commit_end;
	int64_t commit_time;
	uint32_t xid;
	uint64_t seq;

	struct view prefix; /* of a transactional message; null: it is none */
	struct view content;
	struct relation *relation; /* of the last event; NULL: it has none */

	struct type_list types; /* of the relation that is described next */

	uint32_t truncate_left; /* relations of a Truncate still to read */
	uint8_t truncate_options;

	struct relation_cache relations;
	pgoutput_filter *left_out; /* NULL: leaves out none */
	const void *left_out_arg;
	struct tuple old;
	struct tuple new;
	char lsn_text[LSN_TEXT_MAX];
	struct buf before;
	struct buf after;
	struct buf metadata;
};

void
pgoutput_leave_out(
    struct pgoutput *d, pgoutput_filter *left_out, const void *arg)
{
	d->left_out = left_out;
	d->left_out_arg = arg;
}

struct relation_cache *
pgoutput_relations(struct pgoutput *d)
{
	return &d->relations;
}

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
	tuple_release(&d->old);
	tuple_release(&d->new);
	buf_release(&d->before);
	buf_release(&d->after);
	buf_release(&d->metadata);
	type_list_release(&d->types);
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

uint32_t
pgoutput_xid(const struct pgoutput *d)
{
	return d->xid;
}

uint64_t
pgoutput_commit_lsn(const struct pgoutput *d)
{
	return d->commit_lsn;
}

bool
pgoutput_message(
    const struct pgoutput *d, struct view *prefix, struct view *content)
{
	*prefix = d->prefix;
	*content = d->content;
	return d->prefix.p != NULL;
}

struct relation *
pgoutput_relation(const struct pgoutput *d)
{
	return d->relation;
}

const struct tuple *
pgoutput_unchanged(const struct pgoutput *d, const struct relation **r)
{
	*r = d->relation;
	return d->type == 'U' && (d->new.notes &NOTE_UNCHANGED) != 0 ? &d->new
								     : NULL;
}

bool
pgoutput_rekeyed(const struct pgoutput *d)
{
	return d->type == 'U' && d->old.role != 0;
}

const char *
pgoutput_reason(const struct pgoutput *d)
{
	return d->in.reason;
}

static void
bad(struct pgoutput *d, const char *reason)
{
	wire_fail(&d->in, reason);
}

static struct relation *
get_relation(struct pgoutput *d)
{
	uint32_t oid = (uint32_t)wire_uint(&d->in, 4);
	struct relation *r = relation_find(&d->relations, oid);

	if (r == NULL)
		bad(d, "a change of an unknown relation");
	return d->in.reason == NULL ? r : NULL;
}

/* Messages without an event */

static void
on_begin(struct pgoutput *d)
{
	uint64_t final_lsn = wire_uint(&d->in, 8);

	if (d->in_transaction)
		bad(d, "a transaction begins inside another");
	if (final_lsn <= d->commit_lsn)
		bad(d, "transactions are not in commit order");
	d->commit_lsn = final_lsn;
	d->commit_time = (int64_t)wire_uint(&d->in, 8);
	if (!clock_valid_pg(d->commit_time))
		bad(d, "invalid commit timestamp");
	d->xid = (uint32_t)wire_uint(&d->in, 4);
	d->in_transaction = true;
	d->seq = 0;
}

static void
on_commit(struct pgoutput *d)
{
	uint64_t commit_lsn, end;

	wire_uint(&d->in, 1); /* flags, unused */
	commit_lsn = wire_uint(&d->in, 8);
	end = wire_uint(&d->in, 8);
	wire_uint(&d->in, 8); /* the time, which Begin has too */
	if (!d->in_transaction)
		bad(d, "a commit outside a transaction");
	else if (commit_lsn != d->commit_lsn)
		bad(d, "a commit of another transaction");
	d->commit_end = end;
	d->in_transaction = false;
}

/* The names become keys of one JSON object. */
static bool
has_column_twice(const struct relation *r)
{
	for (size_t i = 1; i < r->ncolumns; i++)
		for (size_t k = 0; k < i; k++)
			if (view_eq(r->columns[i].json, r->columns[k].json))
				return true;
	return false;
}

static void
read_columns(struct pgoutput *d, struct relation *r, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool key = (wire_uint(&d->in, 1) & COLUMN_KEY) != 0;
		struct view name = wire_string(&d->in);
		struct column_type type = {
		    .oid = (uint32_t)wire_uint(&d->in, 4)};

		type.modifier = (int32_t)wire_uint(&d->in, 4);
		if (r->left_out)
			continue;
		type_list_name(&d->types, &type);
		relation_column(&d->relations, r, name, &type, key);
	}
	type_list_clear(&d->types);
	if (d->in.reason == NULL && !relation_end(&d->relations, r))
		bad(d, "out of memory");
	if (d->in.reason == NULL && has_column_twice(r))
		bad(d, "a relation has two columns of one name");
}

/* The server sends pg_catalog as the empty string. */
static struct view
full_schema(struct view schema)
{
	return schema.n > 0 ? schema : VIEW_LIT("pg_catalog");
}

static void
on_relation(struct pgoutput *d)
{
	uint32_t oid = (uint32_t)wire_uint(&d->in, 4);
	struct view schema = wire_string(&d->in), name = wire_string(&d->in);
	struct relation *r;
	char identity = (char)wire_uint(&d->in, 1);
	bool left_out;
	size_t n;

	n = (size_t)wire_uint(&d->in, 2);
	if (n > COLUMNS_MAX)
		bad(d, "a relation has more columns than a table can have");
	if (d->in.reason != NULL)
		return;
	schema = full_schema(schema);
	left_out = d->left_out != NULL &&
	    d->left_out(d->left_out_arg, schema, name);
	r = relation_begin(&d->relations, oid, schema, name, left_out ? 0 : n);
	if (r == NULL) {
		bad(d, "out of memory");
		return;
	}
	r->left_out = left_out;
	r->identity = identity;
	read_columns(d, r, n);
}

static void
skip_origin(struct pgoutput *d)
{
	wire_uint(&d->in, 8);
	wire_string(&d->in);
}

static void
on_type(struct pgoutput *d)
{
	uint32_t oid = (uint32_t)wire_uint(&d->in, 4);
	struct view schema = full_schema(wire_string(&d->in));
	struct view name = wire_string(&d->in);

	if (d->in.reason == NULL && d->types.n == COLUMNS_MAX)
		bad(d, "more types than a table can have columns");
	if (d->in.reason == NULL &&
	    !type_list_add(&d->types, oid, schema, name))
		bad(d, "out of memory");
}

/* Events */

static void
add_metadata(struct buf *m, const char *key, struct view value)
{
	buf_adds(m, m->len == 0 ? "{\"" : ",\"");
	buf_adds(m, key);
	buf_adds(m, "\":");
	buf_addv(m, value);
}

/* A tuple without a role has stale fields, of an earlier row. */
static bool
is_noted(const struct tuple *t, size_t i, enum note note)
{
	return t->role != 0 && (t->fields[i].notes & note) != 0;
}

/* Adds the names of the columns that have this note in either tuple. */
static void
add_noted(struct pgoutput *d, const struct relation *r, const char *key,
    enum note note)
{
	struct buf *m = &d->metadata;
	bool any = false;

	if (((d->old.notes | d->new.notes) & note) == 0)
		return;
	add_metadata(m, key, VIEW_LIT("["));
	for (size_t i = 0; i < r->ncolumns; i++) {
		struct view name = r->columns[i].json;

		if (!is_noted(&d->old, i, note) && !is_noted(&d->new, i, note))
			continue;
		if (any)
			buf_addc(m, ',');
		buf_addv(m, (struct view){name.p, name.n - 1});
		any = true;
	}
	buf_addc(m, ']');
}

/* The buffer's content; null if it is empty. */
static struct view
built(struct pgoutput *d, const struct buf *b)
{
	if (b->failed)
		bad(d, "out of memory");
	return b->len > 0 ? buf_view(b) : VIEW_NULL;
}

static struct view
built_metadata(struct pgoutput *d)
{
	if (d->metadata.len > 0)
		buf_addc(&d->metadata, '}');
	return built(d, &d->metadata);
}

/* Sets what all events of a transaction have, and numbers the event. */
static void
begin_event(struct pgoutput *d, struct event *e, struct view operation)
{
	buf_clear(&d->before);
	buf_clear(&d->after);
	buf_clear(&d->metadata);
	d->old.role = d->new.role = 0;
	d->old.notes = d->new.notes = 0;
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
set_relation(struct pgoutput *d, struct event *e, struct relation *r)
{
	d->relation = r;
	e->schema_name = r->schema_name;
	e->table_name = r->table_name;
	e->key_columns = r->key_columns;
}

/* Insert, Update or Delete: they differ in the tuples that follow. */
static void
on_row(struct pgoutput *d, struct relation *r, struct event *e)
{
	char role;

	begin_event(d, e,
	    d->type == 'I'       ? VIEW_LIT("INSERT")
		: d->type == 'U' ? VIEW_LIT("UPDATE")
				 : VIEW_LIT("DELETE"));
	role = (char)wire_uint(&d->in, 1);
	if ((role == 'K' || role == 'O') && d->type != 'I') {
		tuple_read(&d->in, &d->old, role, r);
		role = d->type == 'U' ? (char)wire_uint(&d->in, 1) : 0;
	}
	if (role == 'N' && d->type != 'D')
		tuple_read(&d->in, &d->new, role, r);
	else if (role != 0 || d->type != 'D')
		bad(d, "unknown kind of tuple");
	if (d->in.reason != NULL)
		return;
	set_relation(d, e, r);
	if (d->old.role != 0)
		tuple_write(&d->before, &d->old, r, NULL);
	if (d->new.role != 0)
		tuple_write(&d->after, &d->new, r, &d->old);
	add_noted(d, r, "unchanged", NOTE_UNCHANGED);
	add_noted(d, r, "json_text", NOTE_JSON_TEXT);
	e->before_data = built(d, &d->before);
	e->after_data = built(d, &d->after);
	e->metadata = built_metadata(d);
}

/* One relation of a TRUNCATE. */
static void
on_truncate(struct pgoutput *d, struct relation *r, struct event *e)
{
	begin_event(d, e, VIEW_LIT("TRUNCATE"));
	set_relation(d, e, r);
	if ((d->truncate_options & TRUNCATE_CASCADE) != 0)
		add_metadata(&d->metadata, "cascade", VIEW_LIT("true"));
	if ((d->truncate_options & TRUNCATE_RESTART) != 0)
		add_metadata(
		    &d->metadata, "restart_identity", VIEW_LIT("true"));
	e->metadata = built_metadata(d);
}

struct tuple *
pgoutput_row(struct pgoutput *d)
{
	return &d->new;
}

bool
pgoutput_read(
    struct pgoutput *d, struct relation *r, struct view id, struct event *e)
{
	begin_event(d, e, VIEW_LIT("READ"));
	d->new.role = 'N';
	set_relation(d, e, r);
	tuple_write(&d->after, &d->new, r, NULL);
	add_metadata(&d->metadata, "snapshot", VIEW_LIT(""));
	json_write_string(&d->metadata, id);
	add_noted(d, r, "json_text", NOTE_JSON_TEXT);
	e->after_data = built(d, &d->after);
	e->metadata = built_metadata(d);
	return d->in.reason == NULL;
}

void
pgoutput_mark(struct pgoutput *d, struct view schema, struct view table,
    struct view data, struct event *e)
{
	begin_event(d, e, VIEW_LIT("SNAPSHOT"));
	e->schema_name = schema;
	e->table_name = table;
	e->after_data = data;
}

static void
write_content(struct buf *b, struct view content)
{
	static const char hex[] = "0123456789abcdef";

	/* a NUL byte is valid UTF-8, but jsonb cannot hold it */
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

/*
 * A non-transactional message counts as a transaction of its own.  Its LSN is
 * the end of its record (logicalmsg_decode in the server's decode.c), where the
 * next record begins, perhaps a commit.  The byte before is used as its
 * commit_lsn: no record begins there, since records begin at multiples of 8.
 */
static void
begin_alone(struct pgoutput *d, struct event *e, uint64_t end)
{
	if (d->in_transaction)
		bad(d, "a non-transactional message inside a transaction");
	else if (end == 0 || end - 1 <= d->commit_lsn)
		bad(d, "a message is not in commit order");
	else if (!clock_valid_pg(d->time))
		bad(d, "invalid message timestamp");
	d->commit_lsn = end - 1;
	d->commit_end = end;
	d->alone = true;
	buf_clear(&d->after);
	*e = (struct event){
	    .operation = VIEW_LIT("MESSAGE"),
	    .lsn = {d->lsn_text, lsn_format(d->lsn_text, end)},
	    .commit_lsn = d->commit_lsn,
	    .seq = 1,
	    .event_time = d->time,
	};
}

static void
on_message(struct pgoutput *d, struct event *e)
{
	bool transacted = (wire_uint(&d->in, 1) & MESSAGE_TRANSACTED) != 0;
	uint64_t lsn = wire_uint(&d->in, 8);
	struct view prefix = wire_string(&d->in);
	struct view content = wire_bytes(&d->in, (size_t)wire_uint(&d->in, 4));

	if (!transacted)
		begin_alone(d, e, lsn);
	else if (d->in_transaction)
		begin_event(d, e, VIEW_LIT("MESSAGE"));
	else
		bad(d, "a change outside a transaction");
	if (d->in.reason != NULL)
		return;
	if (transacted) {
		d->prefix = prefix;
		d->content = content;
	}
	e->schema_name = e->table_name = VIEW_LIT("");
	buf_addv(&d->after, VIEW_LIT("{\"prefix\":"));
	json_write_string(&d->after, prefix);
	buf_addv(&d->after, VIEW_LIT(",\"content\":"));
	write_content(&d->after, content);
	buf_addc(&d->after, '}');
	e->after_data = built(d, &d->after);
}

void
pgoutput_feed(
    struct pgoutput *d, struct view message, uint64_t lsn, int64_t time)
{
	d->in.rest = message;
	d->lsn = lsn;
	d->time = time;
	d->type = 0;
	d->alone = false;
	d->prefix = VIEW_NULL;
	d->relation = NULL;
	d->new.notes = 0;
}

/* Reads the type, and all of a message without events.  False: no events. */
static bool
begin_message(struct pgoutput *d)
{
	d->type = (char)wire_uint(&d->in, 1);
	d->truncate_left = 0;
	switch (d->type) {
	case 'I':
	case 'U':
	case 'D':
	case 'M':
		return true;
	case 'T':
		d->truncate_left = (uint32_t)wire_uint(&d->in, 4);
		d->truncate_options = (uint8_t)wire_uint(&d->in, 1);
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
		on_type(d);
		break;
	default:
		bad(d, "unknown message type");
	}
	return false;
}

static enum pgoutput_status
end_message(struct pgoutput *d)
{
	if (d->in.reason == NULL && d->in.rest.n > 0)
		bad(d, "extra bytes at the end of the message");
	if (d->in.reason != NULL)
		return PGOUTPUT_BAD;
	return d->type == 'C' || d->alone ? PGOUTPUT_COMMIT : PGOUTPUT_DONE;
}

/* A change of one relation.  False: no event, because the relation is left out
 * (the change counts in seq) or an error occurred. */
static bool
on_change(struct pgoutput *d, struct event *e)
{
	struct relation *r = get_relation(d);

	if (r == NULL)
		return false;
	if (!d->in_transaction)
		bad(d, "a change outside a transaction");
	if (d->type == 'T')
		d->truncate_left--;
	if (r->left_out) {
		d->seq++;
		if (d->type != 'T')
			wire_bytes(&d->in, d->in.rest.n);
		return false;
	}
	if (d->type == 'T')
		on_truncate(d, r, e);
	else
		on_row(d, r, e);
	return true;
}

enum pgoutput_status
pgoutput_next(struct pgoutput *d, struct event *e)
{
	bool more = d->type == 0 ? begin_message(d) : d->truncate_left > 0;
	bool is_event = false;

	while (more && !is_event && d->in.reason == NULL) {
		if (d->type == 'M') {
			on_message(d, e);
			is_event = true;
		} else {
			is_event = on_change(d, e);
		}
		more = d->truncate_left > 0;
	}
	if (!is_event || d->in.reason != NULL)
		return end_message(d);
	if (d->truncate_left == 0 && d->in.rest.n > 0)
		bad(d, "extra bytes at the end of the message");
	return d->in.reason == NULL ? PGOUTPUT_EVENT : PGOUTPUT_BAD;
}
