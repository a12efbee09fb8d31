#include "reader/relation.h"

#include <stdlib.h>

#include "base/json_write.h"
#include "reader/typename.h"

static size_t
bucket_of(const struct relation_cache *c, uint32_t oid)
{
	size_t i = (oid * UINT32_C(2654435769)) & (c->cap - 1);

	while (c->buckets[i] != NULL && c->buckets[i]->oid != oid)
		i = (i + 1) & (c->cap - 1);
	return i;
}

struct relation *
relation_find(const struct relation_cache *c, uint32_t oid)
{
	return c->cap > 0 ? c->buckets[bucket_of(c, oid)] : NULL;
}

static bool
grow(struct relation_cache *c)
{
	struct relation_cache bigger = *c;

	bigger.cap = c->cap > 0 ? 2 * c->cap : 64;
	bigger.buckets = calloc(bigger.cap, sizeof(*bigger.buckets));
	if (bigger.buckets == NULL)
		return false;
	for (size_t i = 0; i < c->cap; i++) {
		if (c->buckets[i] != NULL)
			bigger.buckets[bucket_of(&bigger, c->buckets[i]->oid)] =
			    c->buckets[i];
	}
	free(c->buckets);
	*c = bigger;
	return true;
}

static void
relation_free(struct relation *r)
{
	if (r == NULL)
		return;
	free(r->text);
	free(r->columns);
	free(r);
}

/*
 * While a relation is described, its text grows in the cache's buffer, in the
 * order of the views in the struct.  The views have only lengths until
 * relation_end sets their pointers.
 */
struct relation *
relation_begin(struct relation_cache *c, uint32_t oid, struct view schema,
    struct view table, size_t ncolumns)
{
	struct relation *r = calloc(1, sizeof(*r));
	size_t i;

	if (r == NULL)
		return NULL;
	r->oid = oid;
	r->columns = calloc(ncolumns + 1, sizeof(*r->columns));
	if (r->columns == NULL || (2 * c->n >= c->cap && !grow(c))) {
		relation_free(r);
		return NULL;
	}
	r->described = ++c->described;
	buf_clear(&c->text);
	buf_addv(&c->text, schema);
	buf_addv(&c->text, table);
	r->schema_name.n = schema.n;
	r->table_name.n = table.n;
	i = bucket_of(c, oid);
	if (c->buckets[i] == NULL)
		c->n++;
	relation_free(c->buckets[i]);
	c->buckets[i] = r;
	return r;
}

/* Appends the name of a type, and returns the OID of the type that its values
 * have. */
static uint32_t
add_type(struct buf *b, const struct column_type *type)
{
	uint32_t base;

	if (typename_add(b, type->oid, type->modifier))
		return type->oid;
	if (type->name.p == NULL) {
		buf_adds(b, "unknown");
		return type->oid;
	}
	if (!view_eq(type->schema, VIEW_LIT("pg_catalog"))) {
		typename_add_qualified(b, type->schema, type->name);
		return type->oid;
	}
	base = typename_find(type->name);
	if (typename_add(b, base, -1))
		return base;
	buf_addv(b, type->name);
	return type->oid;
}

void
relation_column(struct relation_cache *c, struct relation *r, struct view name,
    const struct column_type *type, bool key)
{
	struct column *col = &r->columns[r->ncolumns++];
	size_t from = c->text.len;

	*col = (struct column){
	    .declared = type->oid, .modifier = type->modifier, .key = key};
	json_write_string(&c->text, name);
	buf_addc(&c->text, ':');
	col->json.n = c->text.len - from;
	from = c->text.len;
	col->type = add_type(&c->text, type);
	col->type_name.n = c->text.len - from;
}

/* The columns' texts begin at `from`. */
static void
add_key_columns(struct relation_cache *c, struct relation *r, size_t from)
{
	size_t start = c->text.len;

	buf_addc(&c->text, '[');
	for (size_t i = 0; i < r->ncolumns; i++) {
		const struct column *col = &r->columns[i];

		if (col->key && c->text.len > start + 1)
			buf_addc(&c->text, ',');
		/* without its colon; the text may move when it grows */
		if (col->key && buf_reserve(&c->text, col->json.n) != NULL)
			buf_add(&c->text, c->text.data + from, col->json.n - 1);
		from += col->json.n + col->type_name.n;
	}
	buf_addc(&c->text, ']');
	r->key_columns.n = c->text.len - start;
}

static void
place(struct view *v, const char **at)
{
	v->p = *at;
	*at += v->n;
}

bool
relation_end(struct relation_cache *c, struct relation *r)
{
	const char *at;

	add_key_columns(c, r, r->schema_name.n + r->table_name.n);
	if (c->text.failed)
		return false;
	r->text = malloc(c->text.len);
	if (r->text == NULL)
		return false;
	memcpy(r->text, c->text.data, c->text.len);
	at = r->text;
	place(&r->schema_name, &at);
	place(&r->table_name, &at);
	for (size_t i = 0; i < r->ncolumns; i++) {
		place(&r->columns[i].json, &at);
		place(&r->columns[i].type_name, &at);
	}
	place(&r->key_columns, &at);
	return true;
}

void
relation_oids(const struct relation_cache *c, struct buf *array)
{
	buf_addc(array, '{');
	for (size_t i = 0, n = 0; i < c->cap; i++) {
		if (c->buckets[i] != NULL)
			buf_addf(array, "%s%lu", n++ > 0 ? "," : "",
			    (unsigned long)c->buckets[i]->oid);
	}
	buf_addc(array, '}');
}

void
relation_forget(struct relation_cache *c, uint32_t oid, uint64_t described)
{
	size_t i = c->cap > 0 ? bucket_of(c, oid) : 0;
	struct relation *r = relation_find(c, oid);

	if (r == NULL || r->described > described)
		return;
	relation_free(r);
	c->buckets[i] = NULL;
	c->n--;
	/* entries that follow may have collided with it: insert them again */
	for (i = (i + 1) & (c->cap - 1); (r = c->buckets[i]) != NULL;
	     i = (i + 1) & (c->cap - 1)) {
		c->buckets[i] = NULL;
		c->buckets[bucket_of(c, r->oid)] = r;
	}
}

void
relation_cache_release(struct relation_cache *c)
{
	for (size_t i = 0; i < c->cap; i++)
		relation_free(c->buckets[i]);
	free(c->buckets);
	buf_release(&c->text);
	*c = (struct relation_cache){0};
}
