/*
 * The buffer: schema philotes, as sql/001_schema.sql makes it.
 */
#ifndef STORE_H
#define STORE_H

#include "pg/pg.h"
#include "stream/event.h"

/*
 * Connects to the buffer, sets up the session so that neither role nor database
 * gets in the way, and checks that it is ours alone (see pooler.h) and that
 * the schema is there and of the version this tool works with, else
 * EXIT_CONFIG.
 */
int store_open(struct pg *pg, const char *conninfo);

/* The same for a further session, beside one that is open. */
int store_open_beside(struct pg *pg, const char *conninfo);

/*
 * Makes partitions ahead of need on a connection of its own, so that no
 * transaction of ours is in the way.  *end becomes the first id that no
 * partition covers, *width the number of ids in one.
 */
int store_ensure_partitions(const char *conninfo, int64_t *end, int64_t *width);

/* The newest row of a source in cdc_writes, and whose it is; all 0 and empty
 * if there is none. */
struct store_state {
	bool has_checkpoint;  /* it was started by a pg-cdc-read */
	struct buf system_id; /* empty: not known */
	struct buf slot;
	uint64_t checkpoint;
	uint32_t timeline;
	uint64_t commit_lsn; /* the watermark */
	uint64_t seq;        /* 0: none */
	/* events up to (stored, seq) are stored: the watermark, but for the
	 * messages of an older version */
	uint64_t stored;
};

/* Reads it; s must be zero-initialised, and released at the end. */
int store_state(struct pg *pg, struct view source, struct store_state *s);
void store_state_release(struct store_state *s);

/*
 * One writer a source: a lock that lasts as long as the connection.
 * EXIT_RETRY, naming the backend, if another session has it.
 */
int store_lock_writer(struct pg *pg, struct view source);

/* How every transaction that writes begins: isolation level, durability and
 * timeouts, whatever role, database or pooler say. */
extern const char store_begin[];

/* Records a source's first start ("start") or an accepted gap ("gap"). */
struct stream_start;
int store_start_source(
    struct pg *pg, const struct stream_start *start, const char *kind);

#endif
