/*
 * Writing into the buffer: one database transaction at a time, made of rows
 * through COPY and of the ledger row that says so.
 *
 *	copyin_row* → copyin_commit
 *
 * A transaction begins with its first row and is as long as it needs to be:
 * it goes through COPYs of at most 100,000 rows, in constant memory.
 */
#ifndef COPYIN_H
#define COPYIN_H

#include "event.h"
#include "pg.h"

/* Zero-initialise, then copyin_init. */
struct copyin {
	struct pg *pg;
	const char *conninfo; /* for the connection that makes partitions */
	struct buf rows;      /* encoded, not sent yet */
	struct buf source;
	int64_t partitions_end; /* first id that no partition covers */
	int64_t partition_width;
	bool open;        /* BEGIN was sent */
	bool copying;     /* and we are in a COPY */
	uint64_t in_copy; /* rows in this COPY */
	uint64_t events;  /* rows in this transaction */
	int64_t write_no;
	int64_t first_id;
	uint64_t commit_lsn; /* the watermark, as we know it */
	uint64_t seq;
};

/* Sees to partitions; pg stays the caller's. */
int copyin_init(struct copyin *c, struct pg *pg, const char *conninfo);

/*
 * The source of the rows to come, and its watermark (seq 0: none): a
 * transaction that finds another one has met another writer.  None may be open.
 */
void copyin_source(
    struct copyin *c, struct view source, uint64_t commit_lsn, uint64_t seq);

/* Adds a row, beginning a transaction if none is open. */
int copyin_row(struct copyin *c, const struct event *e);

/* What a commit says about the stream; 0: not changed. */
struct copyin_mark {
	uint64_t commit_lsn;
	uint64_t seq;
	uint64_t checkpoint;
	uint32_t timeline;
};

/*
 * Writes the ledger row and commits; without rows it moves the checkpoint
 * only.  When it returns EXIT_DONE the transaction is on the buffer's disk.
 * An error leaves the connection unusable; what was committed is to be read
 * from the ledger.
 */
int copyin_commit(struct copyin *c, const struct copyin_mark *m);

void copyin_release(struct copyin *c);

#endif
