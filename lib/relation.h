/*
 * Relations as pgoutput describes them: names and column types by relation
 * OID, with all that is the same in every row of a table rendered once.
 */
#ifndef RELATION_H
#define RELATION_H

#include <stdint.h>

#include "buf.h"

struct column {
	struct view name; /* as the server sent it */
	struct view json; /* "name": in JSON */
	uint32_t type;    /* OID */
	bool key;         /* part of the replica identity */
};

struct relation {
	uint32_t oid;
	struct view schema_name;
	struct view table_name;
	struct view key_columns; /* a JSON array of names */
	struct column *columns;
	size_t ncolumns;
	struct buf text; /* owns all the views above */
};

/* Zero-initialise. */
struct relation_cache {
	struct relation **slot; /* a hash table by OID, open addressing */
	size_t cap;
	size_t n;
};

/* NULL: the server has not described it. */
struct relation *relation_find(const struct relation_cache *c, uint32_t oid);

/*
 * An empty relation in the cache, in place of any with this OID, with room for
 * ncolumns.  NULL if there is no memory.
 */
struct relation *relation_replace(
    struct relation_cache *c, uint32_t oid, size_t ncolumns);

/*
 * Renders what is derived: call it once after the names, types and key flags
 * have been set (to views that may go away afterwards).  False: no memory.
 */
bool relation_finish(struct relation *r);

void relation_cache_release(struct relation_cache *c);

#endif
