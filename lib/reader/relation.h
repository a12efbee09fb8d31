/*
 * A cache of relations as pgoutput describes them: names and types of columns.  The parts of an event that are equal for all rows of a table are
 * rendered once, here.
 */
#ifndef RELATION_H
#define RELATION_H

#include <stdint.h>

#include "base/buf.h"

/* A column's type, as the server describes it. */
struct column_type {
	uint32_t oid;
	int32_t modifier; /* pg_attribute.atttypmod */
	/* of a type that is not PostgreSQL's own: its names, or those of its
	 * base type if it is a domain; null: not known */
	struct view schema;
	struct view name;
};

struct column {
	struct view json;      /* "name": in JSON */
	struct view type_name; /* as format_type() prints it; "unknown" */
	uint32_t type;         /* OID, of a domain that of its base type */
	uint32_t declared;     /* OID as the server has described it */
	int32_t modifier;
	bool key; /* part of the replica identity */
};

struct relation {
	uint32_t oid;
	bool left_out; /* changes produce no events; no columns are kept */
	struct view schema_name;
	struct view table_name;
	struct view key_columns; /* a JSON array of names */
	struct column *columns;
	size_t ncolumns;
	char *text;         /* holds the text of the views */
	uint64_t described; /* the cache's counter when it was described */
	char identity;      /* pg_class.relreplident */

	/* private to schema_line.c; 0: not set */
	uint64_t table; /* stands for its names */
	uint64_t line;  /* stands for its schema line */
};

/* Zero-initialise. */
struct relation_cache {
	struct relation **buckets; /* a hash table by OID, open addressing */
	size_t cap;
	size_t n;
	uint64_t described; /* counts descriptions */
	struct buf text;    /* of the relation being described */
};

/* NULL: the server has not described it. */
struct relation *relation_find(const struct relation_cache *c, uint32_t oid);

/*
 * Adds a relation to the cache, replacing any with this OID: relation_begin,
 * then relation_column for each of ncolumns, then relation_end.  Names are
 * copied.  NULL, or false: out of memory.
 */
struct relation *relation_begin(struct relation_cache *c, uint32_t oid,
    struct view schema, struct view table, size_t ncolumns);
void relation_column(struct relation_cache *c, struct relation *r,
    struct view name, const struct column_type *type, bool key);
bool relation_end(struct relation_cache *c, struct relation *r);

/* Appends the OIDs of all relations, as an SQL array in text form. */
void relation_oids(const struct relation_cache *c, struct buf *array);

/* Removes a relation, unless it was described after the counter was
 * `described`. */
void relation_forget(
    struct relation_cache *c, uint32_t oid, uint64_t described);

void relation_cache_release(struct relation_cache *c);

#endif
