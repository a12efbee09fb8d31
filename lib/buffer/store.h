/*
 * The buffer: a database with the schema philotes of sql/001_schema.sql.
 */
#ifndef STORE_H
#define STORE_H

#include "pg/pg.h"
#include "stream/event.h"

/*
 * Connects to the buffer, refuses a shared session (see pooler.h) and overrides
 * the settings of role and database.  *pg is closed by pg_close, whatever the
 * result.
 */
int store_connect(struct pg *pg, const char *conninfo);

/* EXIT_CONFIG unless the schema exists and has the version of this tool. */
int store_check_schema(struct pg *pg);

/* store_connect and store_check_schema. */
int store_open(struct pg *pg, const char *conninfo);

/* The same for a second session: without the check for a shared session. */
int store_open_beside(struct pg *pg, const char *conninfo);

/*
 * Creates partitions for ids to come, on a connection and in a transaction of
 * its own.  *end becomes the first id that no partition covers, *width the
 * number of ids in a partition.
 */
int store_ensure_partitions(const char *conninfo, int64_t *end, int64_t *width);

/*
 * What is stored of a source: its newest row in cdc_writes, and its row in
 * cdc_sources.  All 0 and empty if there is none.
 */
struct store_state {
	bool has_checkpoint;  /* a stream of pg-cdc-read was stored */
	struct buf system_id; /* empty: not known */
	struct buf slot;
	uint64_t checkpoint;
	uint32_t timeline;
	uint64_t commit_lsn; /* the watermark */
	uint64_t seq;        /* 0: there is no watermark */
	/* events up to (stored, seq) are in the buffer: the watermark, unless
	 * the last event is a message stored by a schema before version 3 */
	uint64_t stored;
};

/* Reads the state of a source; s must be zero-initialised, and released. */
int store_state(struct pg *pg, struct view source, struct store_state *s);
void store_state_release(struct store_state *s);

/*
 * Locks the source for this writer until the connection closes.  EXIT_RETRY,
 * naming the backend, if another session holds the lock.
 */
int store_lock_writer(struct pg *pg, struct view source);

/* Begins a transaction that writes: overrides the isolation level, durability
 * and timeouts that role, database or pooler have set. */
extern const char store_begin[];

/* Records a source's first start (kind "start") or an accepted gap ("gap"). */
int store_start_source(
    struct pg *pg, const struct stream_start *start, const char *kind);

#endif
