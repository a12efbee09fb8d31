/*
 * A list of tables as people write it: names separated by commas, each
 * schema.table, or table for one in schema public.  Parts without double quotes
 * are folded to lower case, as in SQL (PostgreSQL manual, section 4.1.1).
 */
#ifndef TABLELIST_H
#define TABLELIST_H

#include "base/buf.h"

struct table_name {
	struct view schema;
	struct view table;
};

struct table_list {
	struct table_name *names;
	size_t n;
	struct buf text; /* owns the names */
};

/* Returns false and sets *reason to a literal if text is not such a list, or
 * memory ran out.  Release *l in either case. */
bool table_list_parse(
    struct table_list *l, const char *text, const char **reason);

void table_list_release(struct table_list *l);

#endif
