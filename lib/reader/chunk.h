/*
 * Reading a range of blocks of a table, under a database snapshot of its own
 * and on a connection of its own:
 *
 *	BEGIN, LOCK TABLE, pg_current_snapshot() and facts, COPY, ROLLBACK
 *
 * The table is locked before the snapshot is taken.  An ALTER TABLE that
 * rewrites it would otherwise leave no row that the snapshot can see.
 */
#ifndef CHUNK_H
#define CHUNK_H

#include "pg/pg.h"
#include "reader/relation.h"

enum chunk_outcome {
	CHUNK_OK,
	CHUNK_LOCKED, /* somebody else has a lock on the table: ask again */
	CHUNK_FAILED, /* it cannot be read: see reason */
};

/* Zero-initialise. */
struct chunk {
	struct pg pg;
	struct buf reason;

	/* of the part that is being read; views into `facts` */
	PGresult *facts;
	struct view snapshot; /* as pg_current_snapshot() has it */
	uint64_t filenode;
	uint64_t blocks;
	struct relation_cache cache;
	struct relation *relation; /* as pgoutput would describe it */
	bool partitioned;
};

/* What is to be read; the names are schema.table as SQL writes it. */
struct chunk_part {
	const char *publication;
	const char *table; /* published under this name */
	const char *leaf;  /* the table itself, or its partition */
	uint64_t from;     /* blocks of the leaf */
	uint64_t to;
	/* instead of blocks, rows of the table and all its partitions by their
	 * keys: JSON arrays of values in text form, one behind the other with
	 * commas; null: blocks */
	struct view keys;
};

int chunk_open(struct chunk *c, const char *conninfo);
void chunk_close(struct chunk *c);

/*
 * Begins a transaction, locks the leaf and learns the facts.  Unless the outcome
 * is CHUNK_OK the transaction has ended.  Returns an exit code: an error that
 * has to do with the table is an outcome.
 */
int chunk_begin(
    struct chunk *c, const struct chunk_part *p, enum chunk_outcome *outcome);

/* Starts the COPY of the blocks. */
int chunk_copy(
    struct chunk *c, const struct chunk_part *p, enum chunk_outcome *outcome);

/*
 * The next row of the COPY, for PQfreemem; NULL if none has arrived.  Never
 * waits.  *end: there are no more; then the outcome tells whether all came.
 */
int chunk_next(struct chunk *c, char **row, size_t *len, bool *end,
    enum chunk_outcome *outcome);

/* Ends the transaction. */
int chunk_end(struct chunk *c);

#endif
