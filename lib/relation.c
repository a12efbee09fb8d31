#include "relation.h"

#include <stdlib.h>

#include "json_write.h"

static size_t
slot_of(const struct relation_cache *c, uint32_t oid)
{
	size_t i = (oid * UINT32_C(2654435769)) & (c->cap - 1);

	while (c->slot[i] != NULL && c->slot[i]->oid != oid)
		i = (i + 1) & (c->cap - 1);
	return i;
}

struct relation *
relation_find(const struct relation_cache *c, uint32_t oid)
{
	return c->cap > 0 ? c->slot[slot_of(c, oid)] : NULL;
}

static bool
grow(struct relation_cache *c)
{
	struct relation_cache bigger = {
	    .cap = c->cap > 0 ? 2 * c->cap : 64, .n = c->n};

	bigger.slot = calloc(bigger.cap, sizeof(*bigger.slot));
	if (bigger.slot == NULL)
		return false;
	for (size_t i = 0; i < c->cap; i++) {
		if (c->slot[i] != NULL)
			bigger.slot[slot_of(&bigger, c->slot[i]->oid)] =
			    c->slot[i];
	}
	free(c->slot);
	*c = bigger;
	return true;
}

static void
relation_free(struct relation *r)
{
	if (r == NULL)
		return;
	buf_release(&r->text);
	free(r->columns);
	free(r);
}

struct relation *
relation_replace(struct relation_cache *c, uint32_t oid, size_t ncolumns)
{
	struct relation *r = calloc(1, sizeof(*r));
	size_t i;

	if (r == NULL)
		return NULL;
	r->oid = oid;
	r->ncolumns = ncolumns;
	r->columns = calloc(ncolumns + 1, sizeof(*r->columns));
	if (r->columns == NULL || (2 * c->n >= c->cap && !grow(c))) {
		relation_free(r);
		return NULL;
	}
	i = slot_of(c, oid);
	if (c->slot[i] == NULL)
		c->n++;
	relation_free(c->slot[i]);
	c->slot[i] = r;
	return r;
}

/* Copies v to the end of text; *v becomes the copy, as long as text is not
 * moved: all lengths are reserved beforehand. */
static void
keep(struct buf *text, struct view *v)
{
	size_t from = text->len;

	buf_addv(text, *v);
	if (!text->failed)
		*v = (struct view){text->data + from, v->n};
}

static void
render_column(struct buf *text, struct column *col)
{
	size_t from = text->len;

	json_write_string(text, col->name);
	buf_addc(text, ':');
	if (!text->failed)
		col->json = (struct view){text->data + from, text->len - from};
}

static void
render_key_columns(struct relation *r)
{
	size_t from = r->text.len;
	bool any = false;

	buf_addc(&r->text, '[');
	for (size_t i = 0; i < r->ncolumns; i++) {
		if (!r->columns[i].key)
			continue;
		if (any)
			buf_addc(&r->text, ',');
		json_write_string(&r->text, r->columns[i].name);
		any = true;
	}
	buf_addc(&r->text, ']');
	if (!r->text.failed)
		r->key_columns = (struct view){
		    r->text.data + from, r->text.len - from};
}

bool
relation_finish(struct relation *r)
{
	size_t need = 64 + r->schema_name.n + r->table_name.n;

	/* a name, and twice the name in JSON, where a byte takes up to six */
	for (size_t i = 0; i < r->ncolumns; i++)
		need += 13 * r->columns[i].name.n + 16;
	buf_reserve(&r->text, need);
	keep(&r->text, &r->schema_name);
	keep(&r->text, &r->table_name);
	for (size_t i = 0; i < r->ncolumns; i++) {
		keep(&r->text, &r->columns[i].name);
		render_column(&r->text, &r->columns[i]);
	}
	render_key_columns(r);
	return !r->text.failed;
}

void
relation_cache_release(struct relation_cache *c)
{
	for (size_t i = 0; i < c->cap; i++)
		relation_free(c->slot[i]);
	free(c->slot);
	*c = (struct relation_cache){0};
}
