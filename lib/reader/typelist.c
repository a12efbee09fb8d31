#include "reader/typelist.h"

#include <stdlib.h>

static bool
make_room(struct type_list *l)
{
	size_t room = l->room > 0 ? 2 * l->room : 16;
	struct column_type *types;

	if (l->n < l->room)
		return true;
	types = realloc(l->types, room * sizeof(*types));
	if (types == NULL)
		return false;
	l->types = types;
	l->room = room;
	return true;
}

bool
type_list_add(
    struct type_list *l, uint32_t oid, struct view schema, struct view name)
{
	buf_addv(&l->names, schema);
	buf_addv(&l->names, name);
	if (l->names.failed || !make_room(l))
		return false;
	l->types[l->n++] = (struct column_type){
	    .oid = oid, .schema.n = schema.n, .name.n = name.n};
	return true;
}

void
type_list_name(const struct type_list *l, struct column_type *type)
{
	const char *p = l->names.data;

	for (size_t i = 0; i < l->n; i++) {
		const struct column_type *t = &l->types[i];

		if (t->oid == type->oid) {
			type->schema = (struct view){p, t->schema.n};
			type->name = (struct view){p + t->schema.n, t->name.n};
			return;
		}
		p += t->schema.n + t->name.n;
	}
}

void
type_list_clear(struct type_list *l)
{
	l->n = 0;
	buf_clear(&l->names);
}

void
type_list_release(struct type_list *l)
{
	free(l->types);
	buf_release(&l->names);
}
