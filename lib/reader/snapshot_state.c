#include "reader/snapshot_state.h"

#include <stdlib.h>

#include "stream/tablelist.h"

/* Names */

static bool
set(struct buf *b, struct view v)
{
	buf_clear(b);
	buf_addv(b, v);
	return buf_str(b) != NULL;
}

bool
snapshot_name_set(struct snapshot_name *n, struct view sql)
{
	struct table_list list;
	const char *ignored;
	bool good = set(&n->sql, sql) &&
	    table_list_parse(&list, n->sql.data, &ignored);

	if (!good)
		return false;
	good = list.n == 1 && set(&n->schema, list.names[0].schema) &&
	    set(&n->table, list.names[0].table);
	table_list_release(&list);
	return good;
}

void
snapshot_name_release(struct snapshot_name *n)
{
	buf_release(&n->sql);
	buf_release(&n->schema);
	buf_release(&n->table);
}

/* Tables at hand */

static void
release_table(struct snapshot_table *t)
{
	snapshot_name_release(&t->name);
	snapshot_name_release(&t->leaf);
	keyspool_release(&t->keys);
	buf_release(&t->shape);
	buf_release(&t->writers);
	*t = (struct snapshot_table){0};
}

bool
snapshot_table_begin(struct snapshot_table *t, struct view leaf, uint64_t of)
{
	t->step = SNAPSHOT_READ;
	t->begun = false;
	keyspool_clear(&t->keys);
	buf_clear(&t->shape);
	t->leaf_oid = t->filenode = t->from = t->to = t->leaf_blocks = 0;
	t->rows = t->blocks = 0;
	t->of = of;
	return snapshot_name_set(&t->leaf, leaf);
}

bool
snapshot_state_add_table(
    struct snapshot_state *s, struct view name, struct view leaf, uint64_t of)
{
	struct snapshot_table *t = &s->tables[s->n];

	s->n++;
	return snapshot_name_set(&t->name, name) &&
	    snapshot_table_begin(t, leaf, of) && set(&s->next, name);
}

void
snapshot_state_remove(struct snapshot_state *s, size_t i)
{
	release_table(&s->tables[i]);
	s->n--;
	memmove(
	    &s->tables[i], &s->tables[i + 1], (s->n - i) * sizeof(*s->tables));
	s->tables[s->n] = (struct snapshot_table){0};
}

struct snapshot_table *
snapshot_state_find(
    struct snapshot_state *s, struct view schema, struct view table)
{
	for (size_t i = 0; i < s->n; i++)
		if (view_eq(buf_view(&s->tables[i].name.table), table) &&
		    view_eq(buf_view(&s->tables[i].name.schema), schema))
			return &s->tables[i];
	return NULL;
}

/* Wishes */

void
snapshot_wish_add(struct snapshot_wish *w, struct view name)
{
	buf_addv(&w->tables, name);
	buf_addc(&w->tables, '\0');
}

struct view
snapshot_wish_first(const struct snapshot_wish *w)
{
	return w->tables.len > 0 ? view_of(w->tables.data) : VIEW_NULL;
}

void
snapshot_wish_drop_first(struct snapshot_wish *w)
{
	buf_consume(&w->tables, snapshot_wish_first(w).n + 1);
}

bool
snapshot_wish_prepend(struct snapshot_wish *w, struct view name)
{
	struct buf rest = w->tables;

	w->tables = (struct buf)BUF_INIT;
	snapshot_wish_add(w, name);
	buf_addv(&w->tables, buf_view(&rest));
	buf_release(&rest);
	return !w->tables.failed;
}

void
snapshot_wish_release(struct snapshot_wish *w)
{
	buf_release(&w->id);
	buf_release(&w->tables);
	*w = (struct snapshot_wish){0};
}

static bool
has_name(const struct buf *names, struct view name)
{
	const char *p = names->data;

	for (size_t left = names->len; left > 0;) {
		struct view v = view_of(p);

		if (view_eq(v, name))
			return true;
		p += v.n + 1;
		left -= v.n + 1;
	}
	return false;
}

/* Is the table in a wish that waits? */
static bool
waits(const struct snapshot_state *s, struct view name)
{
	for (size_t i = 0; i < s->nqueue; i++)
		if (s->queue[i].all || has_name(&s->queue[i].tables, name))
			return true;
	return false;
}

/* Drops the names that wait already. */
static void
leave_new(const struct snapshot_state *s, struct snapshot_wish *w)
{
	struct buf names = w->tables;
	struct view name;

	w->tables = (struct buf)BUF_INIT;
	for (size_t at = 0; at < names.len; at += name.n + 1) {
		name = view_of(names.data + at);
		if (!waits(s, name) && !has_name(&w->tables, name))
			snapshot_wish_add(w, name);
	}
	buf_release(&names);
}

bool
snapshot_state_push(struct snapshot_state *s, struct snapshot_wish *w)
{
	struct snapshot_wish *more = NULL;

	if (!w->tables.failed && !w->id.failed)
		more = realloc(s->queue, (s->nqueue + 1) * sizeof(*more));
	if (more == NULL) {
		snapshot_wish_release(w);
		return false;
	}
	s->queue = more;
	s->queue[s->nqueue++] = *w;
	*w = (struct snapshot_wish){0};
	return true;
}

bool
snapshot_state_add(struct snapshot_state *s, struct snapshot_wish *w)
{
	if (!w->all)
		leave_new(s, w);
	return snapshot_state_push(s, w);
}

void
snapshot_state_cancel(struct snapshot_state *s)
{
	s->cancelled = true;
	for (size_t i = 0; i < s->nqueue; i++) {
		s->queue[i].all = false;
		buf_clear(&s->queue[i].tables);
	}
}

static void
release_tables(struct snapshot_state *s)
{
	while (s->n > 0)
		snapshot_state_remove(s, s->n - 1);
}

void
snapshot_state_pop(struct snapshot_state *s)
{
	snapshot_wish_release(&s->wish);
	release_tables(s);
	buf_clear(&s->next);
	s->cancelled = false;
	if (s->nqueue == 0)
		return;
	s->wish = s->queue[0];
	s->nqueue--;
	memmove(s->queue, s->queue + 1, s->nqueue * sizeof(*s->queue));
}

void
snapshot_state_release(struct snapshot_state *s)
{
	while (s->nqueue > 0)
		snapshot_wish_release(&s->queue[--s->nqueue]);
	free(s->queue);
	snapshot_wish_release(&s->wish);
	release_tables(s);
	buf_release(&s->next);
	*s = (struct snapshot_state){0};
}
