/*
 * Prefetching: while batches of a source are delivered, its next events are
 * read from the buffer.
 *
 * Events are read by COPYs, each of as many rows as there is room for.
 * Whatever the consumer does, every wait of this module receives what the
 * server sends, so a COPY soon ends and no transaction stays open.  The queue
 * holds about 2 MiB; an incomplete batch may need more, up to its limit of
 * bytes, and one event may be larger than that.
 */
#ifndef PREFETCH_H
#define PREFETCH_H

#include <poll.h>

#include "batcher/batch.h"
#include "pg/pg.h"

struct cursor;

struct prefetch {
	struct pg pg;
	struct batch_limits limits;
	const char *table; /* has the columns COPYROW_OUT */
	bool by_ledger;    /* cdc_writes has the ranges of ids to read */
	struct buf filter; /* SQL: " AND ...", or empty */
	struct batch_queue queue;

	/* private */
	struct buf source;
	int64_t until;   /* the last id to read */
	bool resting;    /* start no more COPYs */
	int64_t read_to; /* the last id that was read */
	uint64_t read_total;
	int64_t write_no;
	PGresult *writes; /* a page of the ledger, from write_no on */
	int row;          /* of it: the first that is not read to its end */
	/* the COPY that is running */
	bool copying;
	bool first;        /* its first message has not come */
	bool cancelled;    /* drop the messages that still come */
	uint64_t asked;    /* the most rows that may come */
	uint64_t rows;     /* that have come */
	int64_t range_end; /* last id it covers, unless LIMIT cuts it short */
	int range_row;     /* first row of writes after range_end */
	int at_row;        /* row of writes that holds the last event */
	size_t line_len;   /* the mean, an estimate */
};

/* Connects.  The caller sets limits, table, by_ledger and filter. */
int prefetch_open(struct prefetch *p, const char *conninfo);
void prefetch_close(struct prefetch *p);

/* Begins with the events of c's source after c; drops all others. */
int prefetch_aim(struct prefetch *p, const struct cursor *c);

/* Starts no more COPYs, and lets the running one end. */
void prefetch_rest(struct prefetch *p);

/*
 * Fetches the next batch, which stays in the queue until prefetch_done.  With
 * `all` an incomplete batch at the end counts, too.  A batch without events:
 * there is none, or a stop was requested.  Returns an exit code.
 */
int prefetch_next(struct prefetch *p, bool all, struct batch *b);
void prefetch_done(struct prefetch *p, const struct batch *b);

/* Were all events after the cursor read, and is the queue empty? */
static inline bool
prefetch_is_empty(const struct prefetch *p)
{
	return p->read_to == p->until && p->queue.n == 0;
}

#define PREFETCH_FDS 4

/*
 * Waits as poll(2) does, for n <= PREFETCH_FDS descriptors, and receives what
 * the server sends.  Returns early when a signal or data from the server
 * arrives.  Returns an exit code; revents are set.
 */
int prefetch_wait(
    struct prefetch *p, struct pollfd *fds, nfds_t n, int64_t timeout_ms);

#endif
