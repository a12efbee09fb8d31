/* The statements that read a part of a table.  A marker may be anybody's, so
 * all names and values in it are quoted here. */
#ifndef CHUNK_SQL_H
#define CHUNK_SQL_H

#include "reader/chunk.h"

/* The columns of snapshot_facts.sql. */
enum chunk_fact {
	F_SNAPSHOT,
	F_INSERT,
	F_OID,
	F_IDENTITY,
	F_SCHEMA,
	F_TABLE,
	F_LEAF,
	F_FILENODE,
	F_BLOCKS,
	F_SHAPE,
	F_UNFIT,
	F_WHOLE,
	F_FILTER,
	F_PARTITIONED,
	F_COLUMN,
	F_TYPE,
	F_MODIFIER,
	F_TYPE_SCHEMA,
	F_TYPE_NAME,
	F_KEY,
	F_OPERATORS,
};

bool chunk_is_true(const PGresult *facts, int row, enum chunk_fact column);

/* BEGIN and LOCK TABLE.  False: a name is not valid UTF-8, or memory ran out. */
bool chunk_sql_lock(
    struct chunk *c, const struct chunk_part *p, struct buf *sql);

/* COPY of what the part asks for, of these blocks if it has a leaf. */
bool chunk_sql_copy(struct chunk *c, const struct chunk_part *p, uint64_t from,
    uint64_t to, struct buf *sql);

#endif
