/* The types that Type messages have named for the Relation message that follows
 * them: those of its columns that are not PostgreSQL's own. */
#ifndef TYPELIST_H
#define TYPELIST_H

#include "reader/relation.h"

/* Zero-initialise. */
struct type_list {
	struct column_type *types; /* with the lengths of their names only */
	size_t n;
	size_t room;
	struct buf names;
};

/* The names are copied.  False: out of memory. */
bool type_list_add(
    struct type_list *l, uint32_t oid, struct view schema, struct view name);

/* Sets the names of the type if its OID is in the list; valid until the list
 * changes. */
void type_list_name(const struct type_list *l, struct column_type *type);

void type_list_clear(struct type_list *l);
void type_list_release(struct type_list *l);

#endif
