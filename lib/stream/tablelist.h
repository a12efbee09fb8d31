/*
 * A list of tables as people write it: names separated by commas, each
 * schema.table or table (then in schema public), parts folded to lower case
 * unless in double quotes, as SQL does (manual, section 4.1.1).
 */
#ifndef TABLELIST_H
#define TABLELIST_H

#include "base/buf.h"

struct table_name {
	struct view schema;
	struct view table;
};

/* Zero-initialise. */
struct table_list {
	struct table_name *names;
	size_t n;
	struct buf text; /* owns the names */
};

/* False: not such a list (or no memory), and *reason is why, a literal. */
bool table_list_parse(
    struct table_list *l, const char *text, const char **reason);

void table_list_release(struct table_list *l);

#endif
