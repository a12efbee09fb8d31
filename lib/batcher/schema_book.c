#include "batcher/schema_book.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/exitcode.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/num.h"
#include "sql.h"

#define KEPT_BYTES ((size_t)16 * 1024 * 1024) /* more is read again */

static const char doing[] = "read the schemas of the events";

struct schema_source {
	char *name;
	size_t len;
	int64_t from;   /* events from this id on have their lines */
	int64_t newest; /* the from_id of the last line that was read */
	bool loaded;
};

struct schema_table {
	size_t source;
	char *names; /* both, one after the other */
	size_t schema_len;
	size_t table_len;
	uint32_t first; /* its lines, the oldest one; 0: none */
	uint32_t now;   /* that of its last event */
	uint32_t last;
	/* the last batch that has a line of it, and that line */
	uint64_t batch;
	uint32_t told;
};

struct schema_line {
	size_t table;
	int64_t from_id;
	char *text;
	size_t len;
	uint32_t next; /* of the same table; 0: none */
};

static int
no_memory(void)
{
	log_error("could not %s: out of memory", doing);
	return EXIT_OS;
}

/* An array of n elements with room for two more; *room counts elements.  NULL:
 * out of memory. */
static void *
grown(void *array, size_t n, size_t *room, size_t size)
{
	size_t more = *room > 0 ? 2 * *room : 16;
	void *moved;

	if (n + 1 < *room)
		return array;
	moved = realloc(array, more * size);
	if (moved != NULL)
		*room = more;
	return moved;
}

static char *
copy(struct view a, struct view b)
{
	char *to = malloc(a.n + b.n + 1);

	if (to == NULL)
		return NULL;
	if (a.n > 0)
		memcpy(to, a.p, a.n);
	if (b.n > 0)
		memcpy(to + a.n, b.p, b.n);
	return to;
}

/* Sources */

static void
clear(struct schema_book *b)
{
	for (size_t i = 0; i < b->nsources; i++)
		free(b->sources[i].name);
	for (size_t i = 0; i < b->ntables; i++)
		free(b->tables[i].names);
	for (size_t i = 0; i < b->nlines; i++)
		free(b->lines[i].text);
	if (b->cap > 0)
		memset(b->slots, 0, b->cap * sizeof(*b->slots));
	b->nsources = b->ntables = b->nlines = 0;
	b->bytes = b->last = 0;
}

static bool
find_source(struct schema_book *b, struct view name)
{
	for (b->source = 0; b->source < b->nsources; b->source++) {
		const struct schema_source *s = &b->sources[b->source];

		if (view_eq(name, (struct view){s->name, s->len}))
			return true;
	}
	return false;
}

bool
schema_book_aim(struct schema_book *b, struct view source, int64_t from)
{
	struct schema_source *s;
	bool known = find_source(b, source);

	b->events = 0;
	if (b->bytes > KEPT_BYTES ||
	    (known && from < b->sources[b->source].from)) {
		clear(b);
		known = false;
		b->source = 0;
	}
	if (known)
		return true;
	s = realloc(b->sources, (b->nsources + 1) * sizeof(*s));
	if (s == NULL)
		return false;
	b->sources = s;
	s[b->nsources] = (struct schema_source){
	    .name = copy(source, VIEW_NULL), .len = source.n, .from = from};
	if (s[b->nsources].name == NULL)
		return false;
	b->nsources++;
	return true;
}

/* Tables */

static uint64_t
hash_of(size_t source, struct view schema, struct view table)
{
	return hash_add(hash_add(HASH_START ^ source, schema), table);
}

static bool
is_table(const struct schema_book *b, size_t i, struct view schema,
    struct view table)
{
	const struct schema_table *t = &b->tables[i];

	return t->source == b->source && t->schema_len == schema.n &&
	    t->table_len == table.n &&
	    memcmp(t->names + schema.n, table.p, table.n) == 0 &&
	    memcmp(t->names, schema.p, schema.n) == 0;
}

static size_t
find_slot(const struct schema_book *b, uint64_t hash, struct view schema,
    struct view table)
{
	size_t i = (size_t)hash & (b->cap - 1);

	while (b->slots[i] != 0 && !is_table(b, b->slots[i] - 1, schema, table))
		i = (i + 1) & (b->cap - 1);
	return i;
}

/* False: the source has no such table. */
static bool
find_table(const struct schema_book *b, struct view schema, struct view table,
    size_t *found)
{
	size_t slot;

	if (b->ntables == 0)
		return false;
	slot = find_slot(b, hash_of(b->source, schema, table), schema, table);
	if (b->slots[slot] == 0)
		return false;
	*found = b->slots[slot] - 1;
	return true;
}

static bool
grow(struct schema_book *b)
{
	size_t cap = b->cap > 0 ? 2 * b->cap : 64;
	uint32_t *slots = calloc(cap, sizeof(*slots));

	if (slots == NULL)
		return false;
	free(b->slots);
	b->slots = slots;
	b->cap = cap;
	for (size_t i = 0; i < b->ntables; i++) {
		const struct schema_table *t = &b->tables[i];
		size_t at = (size_t)hash_of(t->source,
				(struct view){t->names, t->schema_len},
				(struct view){
				    t->names + t->schema_len, t->table_len}) &
		    (cap - 1);

		while (slots[at] != 0)
			at = (at + 1) & (cap - 1);
		slots[at] = (uint32_t)i + 1;
	}
	return true;
}

static bool
find_or_add_table(
    struct schema_book *b, struct view schema, struct view table, size_t *found)
{
	struct schema_table *t;

	if (find_table(b, schema, table, found))
		return true;
	if (2 * b->ntables >= b->cap && !grow(b))
		return false;
	t = grown(b->tables, b->ntables, &b->tables_room, sizeof(*t));
	if (t == NULL)
		return false;
	b->tables = t;
	*found = b->ntables;
	t += b->ntables;
	*t = (struct schema_table){.source = b->source,
	    .names = copy(schema, table),
	    .schema_len = schema.n,
	    .table_len = table.n};
	if (t->names == NULL)
		return false;
	b->slots[find_slot(b, hash_of(b->source, schema, table), schema,
	    table)] = (uint32_t)++b->ntables;
	return true;
}

/* Lines */

/* Adds a line; 0: out of memory. */
static uint32_t
add_line(struct schema_book *b, size_t table, int64_t from_id, struct view text)
{
	struct schema_line *l;

	l = grown(b->lines, b->nlines, &b->lines_room, sizeof(*l));
	if (l == NULL)
		return 0;
	b->lines = l;
	if (b->nlines == 0) /* 0 is none */
		b->lines[b->nlines++] = (struct schema_line){0};
	l += b->nlines;
	*l = (struct schema_line){.table = table,
	    .from_id = from_id,
	    .text = copy(text, VIEW_LIT("\n")),
	    .len = text.n + 1};
	if (l->text == NULL)
		return 0;
	b->bytes += l->len;
	return (uint32_t)b->nlines++;
}

/* A row of schemas.sql: schema, table, from_id, definition. */
static bool
add_row(struct schema_book *b, const PGresult *res, int row)
{
	struct schema_source *s = &b->sources[b->source];
	struct schema_table *t;
	int64_t from_id = 0;
	uint32_t line;
	size_t table;

	if (!num_parse_i64(pg_value(res, row, 2), &from_id) ||
	    !find_or_add_table(
		b, pg_value(res, row, 0), pg_value(res, row, 1), &table))
		return false;
	line = add_line(b, table, from_id, pg_value(res, row, 3));
	if (line == 0)
		return false;
	t = &b->tables[table];
	if (t->first == 0)
		t->first = t->now = line;
	else
		b->lines[t->last].next = line;
	t->last = line;
	s->newest = from_id;
	return true;
}

int
schema_book_load(struct schema_book *b, struct pg *pg, int64_t newest)
{
	struct schema_source *s = &b->sources[b->source];
	struct buf name = BUF_INIT;
	char from[24], known[24];
	const char *params[] = {NULL, from, known};
	PGresult *res = NULL;
	int rc;

	if (s->loaded && newest <= s->newest)
		return EXIT_DONE;
	buf_addv(&name, (struct view){s->name, s->len});
	params[0] = buf_str(&name);
	snprintf(from, sizeof(from), "%lld", (long long)s->from);
	snprintf(known, sizeof(known), "%lld", (long long)s->newest);
	rc = pg_query(pg, doing, SQL_SCHEMAS, 3, params, &res);
	for (int i = 0; rc == EXIT_DONE && i < PQntuples(res); i++) {
		if (!add_row(b, res, i))
			rc = no_memory();
	}
	s->loaded = rc == EXIT_DONE;
	PQclear(res);
	buf_release(&name);
	return rc;
}

uint32_t
schema_book_at(struct schema_book *b, const struct event *e)
{
	struct schema_table *t;
	uint32_t next;

	if (b->ntables == 0)
		return 0;
	if (!is_table(b, b->last, e->schema_name, e->table_name) &&
	    !find_table(b, e->schema_name, e->table_name, &b->last))
		return 0;
	t = &b->tables[b->last];
	if (b->lines[t->now].from_id > e->id)
		t->now = t->first;
	while ((next = b->lines[t->now].next) != 0 &&
	    b->lines[next].from_id <= e->id)
		t->now = next;
	return b->lines[t->now].from_id <= e->id ? t->now : 0;
}

int
schema_book_ask(
    struct schema_book *b, struct pg *pg, int64_t id, uint32_t *line)
{
	char text[24];
	const char *params[] = {text};
	PGresult *res = NULL;
	size_t table;
	int rc;

	*line = 0;
	snprintf(text, sizeof(text), "%lld", (long long)id);
	rc = pg_query(pg, doing, SQL_SCHEMA_OF_EVENT, 1, params, &res);
	if (rc == EXIT_DONE && PQntuples(res) > 0 && !PQgetisnull(res, 0, 2)) {
		if (find_or_add_table(
			b, pg_value(res, 0, 0), pg_value(res, 0, 1), &table))
			*line = add_line(b, table, id, pg_value(res, 0, 2));
		if (*line == 0)
			rc = no_memory();
	}
	PQclear(res);
	return rc;
}

struct view
schema_book_text(const struct schema_book *b, uint32_t line)
{
	return (struct view){b->lines[line].text, b->lines[line].len};
}

/* A batch */

static void
add_piece(struct schema_book *b, uint32_t line, size_t len)
{
	struct schema_piece *p = grown(
	    b->pieces, b->npieces, &b->pieces_room, sizeof(*p));

	if (p == NULL) {
		b->failed = true;
		return;
	}
	b->pieces = p;
	b->pieces[b->npieces++] = (struct schema_piece){line, len};
}

void
schema_book_begin(struct schema_book *b)
{
	b->batch++;
	b->npieces = 0;
}

void
schema_book_add(struct schema_book *b, uint32_t line, size_t len)
{
	struct schema_table *t;

	if (line != 0) {
		t = &b->tables[b->lines[line].table];
		if (t->batch != b->batch || t->told != line)
			add_piece(b, line, b->lines[line].len);
		t->batch = b->batch;
		t->told = line;
	}
	if (b->npieces > 0 && b->pieces[b->npieces - 1].line == 0)
		b->pieces[b->npieces - 1].len += len;
	else
		add_piece(b, 0, len);
}

void
schema_book_release(struct schema_book *b)
{
	clear(b);
	free(b->sources);
	free(b->tables);
	free(b->slots);
	free(b->lines);
	free(b->pieces);
}
