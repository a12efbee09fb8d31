/*
 * Relations as pgoutput describes them: names and column types by relation
 * OID, with all that is the same in every row of a table rendered once.
 */
#ifndef RELATION_H
#define RELATION_H

#include <stdint.h>

#include "base/buf.h"

struct column {
	struct view json; /* "name": in JSON */
	uint32_t type;    /* OID */
	bool key;         /* part of the replica identity */
};

struct relation {
	uint32_t oid;
	bool left_out; /* its rows are not wanted: it has no columns here */
	struct view schema_name;
	struct view table_name;
	struct view key_columns; /* a JSON array of names */
	struct column *columns;
	size_t ncolumns;
	char *text;         /* what the views are of */
	uint64_t described; /* it was the n-th to be so */
};

/* Zero-initialise. */
struct relation_cache {
	struct relation **slot; /* a hash table by OID, open addressing */
	size_t cap;
	size_t n;
	uint64_t described; /* relations so far */
	struct buf text;    /* of the relation that is being described */
};

/* NULL: the server has not described it. */
struct relation *relation_find(const struct relation_cache *c, uint32_t oid);

/*
 * A relation in the cache, in place of any with this OID, with room for
 * ncolumns, which relation_column adds one by one; relation_end makes it whole.
 * Names are copied.  NULL, or false: no memory.
 */
struct relation *relation_begin(struct relation_cache *c, uint32_t oid,
    struct view schema, struct view table, size_t ncolumns);
void relation_column(struct relation_cache *c, struct relation *r,
    struct view name, uint32_t type, bool key);
bool relation_end(struct relation_cache *c, struct relation *r);

/* The OIDs of all, as an SQL array in text form. */
void relation_oids(const struct relation_cache *c, struct buf *array);

/* Forgets a relation, unless it was described anew since `described`. */
void relation_forget(
    struct relation_cache *c, uint32_t oid, uint64_t described);

void relation_cache_release(struct relation_cache *c);

#endif
