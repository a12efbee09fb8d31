#include "writer/schema_intake.h"

#include <stdlib.h>

#include "base/exitcode.h"
#include "base/hash.h"
#include "base/log.h"
#include "sql.h"

/* Of a table, or of a relid. */
struct schema_entry {
	uint64_t hash;
	struct buf key;
	struct buf in_force; /* the name of that line; empty: there is none */
	/* of a table only */
	struct buf waiting; /* the name of the line that waits; or empty */
	struct buf relid;   /* of that line */
	struct buf text;
};

/* Names hold no NUL byte. */
static bool
set_key(struct schema_intake *s, struct view source, struct view schema,
    struct view table)
{
	buf_clear(&s->key);
	buf_addv(&s->key, source);
	buf_addc(&s->key, '\0');
	buf_addv(&s->key, schema);
	buf_addc(&s->key, '\0');
	buf_addv(&s->key, table);
	return !s->key.failed;
}

/* The key of a relid; no schema has this name. */
static bool
set_relid_key(struct schema_intake *s, struct view source, struct view relid)
{
	return set_key(s, source, VIEW_LIT("\1"), relid);
}

static size_t
place_of(const struct schema_intake *s, uint64_t hash, const struct buf *key)
{
	size_t i = (size_t)hash & (s->cap - 1);

	while (s->entries[i] != NULL &&
	    (s->entries[i]->hash != hash ||
		!view_eq(buf_view(&s->entries[i]->key), buf_view(key))))
		i = (i + 1) & (s->cap - 1);
	return i;
}

static bool
grow(struct schema_intake *s)
{
	struct schema_intake bigger = *s;

	bigger.cap = s->cap > 0 ? 2 * s->cap : 64;
	bigger.entries = calloc(bigger.cap, sizeof(struct schema_entry *));
	if (bigger.entries == NULL)
		return false;
	for (size_t i = 0; i < s->cap; i++) {
		struct schema_entry *e = s->entries[i];

		if (e != NULL)
			bigger.entries[place_of(&bigger, e->hash, &e->key)] = e;
	}
	free(s->entries);
	*s = bigger;
	return true;
}

static void
entry_free(struct schema_entry *e)
{
	if (e == NULL)
		return;
	buf_release(&e->key);
	buf_release(&e->in_force);
	buf_release(&e->waiting);
	buf_release(&e->relid);
	buf_release(&e->text);
	free(e);
}

/* The entry of s->key; NULL: there is none. */
static struct schema_entry *
find(const struct schema_intake *s)
{
	return s->cap > 0
	    ? s->entries[place_of(
		  s, hash_add(HASH_START, buf_view(&s->key)), &s->key)]
	    : NULL;
}

/* The same, made if need be; NULL: out of memory. */
static struct schema_entry *
find_or_add(struct schema_intake *s)
{
	struct schema_entry *e = find(s);

	if (e != NULL)
		return e;
	if (2 * s->n >= s->cap && !grow(s))
		return NULL;
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return NULL;
	e->hash = hash_add(HASH_START, buf_view(&s->key));
	buf_addv(&e->key, buf_view(&s->key));
	if (e->key.failed) {
		entry_free(e);
		return NULL;
	}
	s->entries[place_of(s, e->hash, &e->key)] = e;
	s->n++;
	return e;
}

static bool
set_text(struct buf *b, struct view text)
{
	buf_clear(b);
	buf_addv(b, text);
	return !b->failed;
}

/* What is in force */

static bool
is_loaded(const struct schema_intake *s, struct view source)
{
	size_t n;

	for (size_t at = 0; at < s->loaded.len; at += n) {
		memcpy(&n, s->loaded.data + at, sizeof(n));
		at += sizeof(n);
		if (view_eq(source, (struct view){s->loaded.data + at, n}))
			return true;
	}
	return false;
}

/* The entry of s->key gets this line in force. */
static bool
put_in_force(struct schema_intake *s, struct view name)
{
	struct schema_entry *e = find_or_add(s);

	return e != NULL && set_text(&e->in_force, name);
}

/* A row of schemas_in_force.sql: schema, table, relid, the line's name. */
static bool
load_row(
    struct schema_intake *s, struct view source, const PGresult *res, int row)
{
	struct view name = pg_value(res, row, 3);

	return set_key(
		   s, source, pg_value(res, row, 0), pg_value(res, row, 1)) &&
	    put_in_force(s, name) &&
	    set_relid_key(s, source, pg_value(res, row, 2)) &&
	    put_in_force(s, name);
}

int
schema_intake_load(struct schema_intake *s, struct pg *pg, struct view source)
{
	static const char doing[] = "read the schemas in force";
	struct buf name = BUF_INIT;
	const char *params[1];
	PGresult *res = NULL;
	bool good = true;
	int rc;

	if (is_loaded(s, source))
		return EXIT_DONE;
	buf_addv(&name, source);
	params[0] = buf_str(&name);
	rc = pg_query(pg, doing, SQL_SCHEMAS_IN_FORCE, 1, params, &res);
	for (int i = 0; rc == EXIT_DONE && good && i < PQntuples(res); i++)
		good = load_row(s, source, res, i);
	buf_add(&s->loaded, &source.n, sizeof(source.n));
	buf_addv(&s->loaded, source);
	PQclear(res);
	buf_release(&name);
	if (rc == EXIT_DONE && (!good || s->loaded.failed)) {
		log_error("could not %s: out of memory", doing);
		rc = EXIT_OS;
	}
	return rc;
}

/* From the stream */

bool
schema_intake_take(struct schema_intake *s, const struct stream_schema *line)
{
	struct schema_entry *e;

	if (!set_key(s, line->source_id, line->schema_name, line->table_name))
		return false;
	e = find_or_add(s);
	if (e == NULL)
		return false;
	s->waiting += e->waiting.len == 0;
	return set_text(&e->waiting, line->schema) &&
	    set_text(&e->relid, line->relid) && set_text(&e->text, line->text);
}

/* Makes the line that waits the one in force; *other: it was not, by the table's
 * names or by its relid. */
static bool
go_into_effect(struct schema_intake *s, struct schema_entry *e,
    struct view source, bool *other)
{
	struct view name = buf_view(&e->waiting);
	struct schema_entry *by_relid = e;

	if (e->relid.len > 0) {
		if (!set_relid_key(s, source, buf_view(&e->relid)))
			return false;
		by_relid = find_or_add(s);
	}
	if (by_relid == NULL)
		return false;
	*other = !view_eq(name, buf_view(&e->in_force)) ||
	    !view_eq(name, buf_view(&by_relid->in_force));
	return set_text(&e->in_force, name) &&
	    set_text(&by_relid->in_force, name);
}

bool
schema_intake_due(
    struct schema_intake *s, const struct event *event, struct view *text)
{
	struct schema_entry *e;
	bool other;

	*text = VIEW_NULL;
	if (s->waiting == 0)
		return true;
	if (!set_key(
		s, event->source_id, event->schema_name, event->table_name))
		return false;
	e = find(s);
	if (e == NULL || e->waiting.len == 0)
		return true;
	if (!go_into_effect(s, e, event->source_id, &other))
		return false;
	s->waiting--;
	buf_release(&s->due);
	s->due = e->text;
	e->text = (struct buf)BUF_INIT;
	buf_clear(&e->waiting);
	if (other)
		*text = buf_view(&s->due);
	return true;
}

void
schema_intake_release(struct schema_intake *s)
{
	for (size_t i = 0; i < s->cap; i++)
		entry_free(s->entries[i]);
	free(s->entries);
	buf_release(&s->key);
	buf_release(&s->due);
	buf_release(&s->loaded);
}
