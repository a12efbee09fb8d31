/*
 * Reading a part of a table, under a database snapshot of its own and on
 * connections of its own:
 *
 *	BEGIN, LOCK TABLE, pg_current_snapshot() and facts, COPY, ROLLBACK
 *
 * The table is locked before the snapshot is taken.  An ALTER TABLE that
 * rewrites it would otherwise leave no row that the snapshot can see.
 *
 * The blocks are shared among several connections, the lanes.  Only the first
 * one has that transaction; the others run a COPY each, whose snapshot is a
 * later one, so it shows all that the first one shows.  They end before the
 * transaction does, so its lock holds for them, too.
 */
#ifndef CHUNK_H
#define CHUNK_H

#include <poll.h>

#include "pg/pg.h"
#include "reader/relation.h"
#include "reader/snapshot_state.h"

#define CHUNK_LANES 16

enum chunk_outcome {
	CHUNK_OK,
	CHUNK_LOCKED,  /* somebody else has a lock on the table: ask again */
	CHUNK_NO_LEAF, /* the table has no such partition any more */
	CHUNK_FAILED,  /* it cannot be read: see reason */
};

struct chunk_lane {
	struct pg pg;
	PGresult *answer;
	uint64_t from; /* its blocks; from == to: none are left to it */
	uint64_t to;
	bool running;
	bool copying; /* and rows come */
};

/* What is to be read. */
struct chunk_part {
	const char *publication;
	const struct snapshot_name *table; /* published under this name */
	/* blocks of it or of its partition; NULL: rows of all of it */
	const struct snapshot_name *leaf;
	uint64_t from;
	uint64_t to;
	/* without a leaf: rows by their keys, JSON arrays of values in text
	 * form, one behind the other with commas; null: all rows */
	struct view keys;
};

/* Zero-initialise. */
struct chunk {
	const char *conninfo;
	struct chunk_lane lanes[CHUNK_LANES];
	size_t nlanes;
	size_t lane;            /* whose rows are taken */
	struct chunk_part part; /* that is being read */
	struct buf reason;
	bool begun; /* the transaction */

	/* of the part that is being read; views into `facts` */
	PGresult *facts;
	struct view snapshot; /* as pg_current_snapshot() has it */
	uint64_t shown;       /* and no commit beyond this LSN; 0: all is on the
			       * source's disk */
	struct view shape;    /* of the rows: columns, key, filter */
	uint64_t leaf;        /* its OID */
	uint64_t filenode;
	uint64_t blocks;
	bool whole; /* the table has no key, or its rows no blocks */
	struct relation_cache cache;
	struct relation *relation; /* as pgoutput would describe it */
	bool partitioned;
};

/* Connects the first lane; the others follow when they are needed. */
int chunk_open(struct chunk *c, const char *conninfo, size_t lanes);
void chunk_close(struct chunk *c);

/*
 * Begins a transaction, locks the table and learns the facts.  Unless the outcome
 * is CHUNK_OK the transaction has ended.  Returns an exit code: an error that
 * has to do with the table is an outcome.
 */
int chunk_begin(
    struct chunk *c, const struct chunk_part *p, enum chunk_outcome *outcome);

/* Starts to read the part, which must stay as it is until the end. */
int chunk_copy(struct chunk *c, const struct chunk_part *p);

/*
 * The next row, for PQfreemem; NULL if none has arrived.  Never waits.  *end:
 * there are no more; then the outcome tells whether all came, and if it is
 * not CHUNK_OK, the transaction has ended.
 */
int chunk_next(struct chunk *c, char **row, size_t *len, bool *end,
    enum chunk_outcome *outcome);

/* Ends the transaction. */
int chunk_end(struct chunk *c);

/* The descriptors to wait for while rows come, up to CHUNK_LANES, and until
 * when (clock_ms). */
size_t chunk_poll(const struct chunk *c, struct pollfd *p);
int64_t chunk_due_at(const struct chunk *c);

#endif
