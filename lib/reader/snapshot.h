/*
 * The rows that were there before, put into the stream (philotes-stream(5),
 * "Snapshots").
 *
 * The source's WAL is the command channel, the clock and the state.  A request
 * is a logical message.  The reader answers by markers, each a transaction with
 * one message that says which blocks of which tables are to be read
 * (snapshot_message.h).  When a marker comes back in the stream, reading WAL
 * pauses.  The blocks are read under a database snapshot that shows every
 * transaction streamed so far, and their rows become events of the marker's own
 * transaction.  So they have a place among the commits, come whole or not at
 * all, and the writer needs no change for them.
 *
 * After a crash the first marker that the slot still sends is the state: what
 * it asks for is read again under a new marker.  Therefore the slot is confirmed
 * only up to the last marker whose rows were acknowledged (snapshot_confirm).
 */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include "reader/chunk.h"
#include "reader/decode.h"
#include "reader/snapshot_hold.h"
#include "reader/snapshot_message.h"
#include "reader/snapshot_seal.h"
#include "reader/snapshot_state.h"
#include "reader/visible.h"

struct snapshot_options {
	const char *conninfo; /* of the source, NULL: libpq's own */
	const char *slot;
	const char *publication;
	const char *key_file; /* of snapshot_key_read */
	size_t workers;       /* connections that read, 1 to CHUNK_LANES */
	int64_t pause_ms;     /* what the parts of a marker may take, about */
	bool lock;            /* a table that is always busy may be locked */
	bool off;             /* requests are logged, and left */
	bool acked;           /* somebody acknowledges, so the slot moves on */
};

/* Zero-initialise. */
struct snapshot {
	struct snapshot_options o;
	struct snapshot_key secret;
	char run[17];     /* of this process, random */
	uint64_t history; /* commits before it are of readers before us */
	struct snapshot_state state;
	bool active;   /* something is to be read */
	bool resumed;  /* from a marker of a reader before us */
	uint64_t seen; /* the last request */
	uint64_t
	    unrecorded; /* the first one that is not in a marker; 0: none */
	int64_t since;  /* clock_ms: since when xids are kept */

	/* the marker on its way through the WAL */
	struct pg marker;
	PGresult *answer;
	bool asked;         /* the server has not answered */
	struct buf pending; /* its content; empty: there is none */
	bool renewal;       /* it asks for nothing */
	int64_t next_at;    /* not before that */
	int64_t renew_at;   /* a renewal then, */
	uint64_t renew_lsn; /* or there */

	/* a marker has come back */
	bool reading;
	bool copying;
	bool locked; /* the tables cannot be looked up now */
	bool by_key; /* rows by their keys, which are in */
	struct buf keys;
	bool marked;   /* the turn has its mark */
	bool progress; /* a table has got on */
	size_t turn;   /* the table whose turn it is */
	size_t left;   /* turns of this marker */
	int64_t reading_since;
	int64_t full_since; /* the output has no room for rows; 0: it has */
	int64_t retry_at;
	uint64_t blocks;      /* what the parts of a marker have together */
	uint64_t blocks_read; /* at this marker */
	struct {
		uint64_t end; /* 0: none */
		int64_t since;
		int64_t read; /* when it was read */
		uint64_t blocks;
	} timed;         /* a part on its way to its ack */
	bool behind;     /* one more part has been read since: there are no
			  * more, or changes behind them would wait for all */
	int64_t fastest; /* ms from a marker's end to its ack; 0: unknown */
	int64_t lag;     /* the same of the last marker */
	uint64_t rows;   /* of the part that is being read */
	uint64_t shown;  /* the rows show no commit beyond this LSN; 0:
			       * it is on the source's disk */
	bool flushing;   /* the marker session is asked to do so */
	struct chunk chunk;

	/* a table that is read at once (snapshot_whole.c) */
	int64_t armed_until; /* its database snapshot is given up then */
	bool spoiled;        /* somebody has changed it since then */

	struct buf key;          /* one that is being written down */
	struct visible streamed; /* since the last database snapshot */
	bool unasked;            /* waiting_add is still to be called */
	struct snapshot_hold hold;
	uint64_t previous; /* where the marker before began */
};

/* history is where the source's WAL ended when the reader started. */
int snapshot_init(
    struct snapshot *s, const struct snapshot_options *o, uint64_t history);
void snapshot_close(struct snapshot *s);

/* A message with our prefix, in a transaction with this commit_lsn. */
int snapshot_message(
    struct snapshot *s, struct view content, uint64_t commit_lsn);

/* A transaction has ended in the stream. */
int snapshot_commit(
    struct snapshot *s, uint32_t xid, uint64_t commit_lsn, uint64_t end);

/* The table whose changes snapshot_touched must be told of, or NULL. */
const struct snapshot_name *snapshot_watched(const struct snapshot *s);
void snapshot_touched(struct snapshot *s, uint32_t xid);

/*
 * A row was updated, and the stream has not all of its columns.  If its table is
 * at hand, its key is kept and the next marker reads it: the row may have moved
 * from a block that is still to be read to one that has been.
 *
 * A row whose key has changed (rekeyed) also counts when all has been read: a
 * consumer takes what the stream lacks from the row of the old key, and that may
 * be another row by now, which was READ ahead of the stream.
 */
int snapshot_unchanged(struct snapshot *s, const struct relation *r,
    const struct tuple *t, bool rekeyed);

/* True: a marker has come back, so no WAL is to be read. */
static inline bool
snapshot_reading(const struct snapshot *s)
{
	return s->reading;
}

/* Is a snapshot under way, or asked for? */
static inline bool
snapshot_active(const struct snapshot *s)
{
	return s->active;
}

/*
 * Does what is due: reads on at a marker, with the rows going through d to out
 * until that holds out_max bytes; else writes the next marker once everything up
 * to `complete` has been streamed.  Waits for the server only for what is
 * answered at once.  Returns an exit code.
 */
int snapshot_work(struct snapshot *s, struct decode *d, struct buf *out,
    size_t out_max, uint64_t complete);

/* The descriptor to wait for (-1: none), those while rows come, up to
 * CHUNK_LANES, and until when (clock_ms). */
int snapshot_marker_fd(const struct snapshot *s);
size_t snapshot_poll(const struct snapshot *s, struct pollfd *p);
int64_t snapshot_due_at(const struct snapshot *s);

/* What may be told the slot when everything up to `durable` is acknowledged. */
uint64_t snapshot_confirm(struct snapshot *s, uint64_t durable);

#endif
