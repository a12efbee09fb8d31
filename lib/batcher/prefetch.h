/*
 * Reading ahead: events of one source are fetched from the buffer while those
 * before them are delivered.
 *
 * Events come by COPYs, each of as many rows as there is room for.  Whatever
 * the consumer does, what the server has to send is taken in as it comes, by
 * every wait of this module: a COPY ends soon, and no transaction stays open.
 * About 2 MiB are read ahead; a batch may need more, up to the limit of its
 * bytes, and one event may be larger than that.
 */
#ifndef PREFETCH_H
#define PREFETCH_H

#include <poll.h>

#include "batcher/batch.h"
#include "pg/pg.h"

/* A source and what is to be read of it. */
struct cursor {
	struct view source_id;
	int64_t last_id;   /* the last event processed; 0: none */
	uint64_t total;    /* the source's running total there */
	int64_t write_no;  /* the row of cdc_writes that holds it */
	int64_t newest_id; /* the last to be read */
	uint64_t newest_total;
	int64_t age_ms; /* since the first event waiting was written, as the
			 * server's clock has it; 0 if that was set back */
	bool failing;   /* it has a row in cdc_retries */
};

static inline uint64_t
cursor_waiting(const struct cursor *c)
{
	return c->newest_total - c->total;
}

struct prefetch {
	struct pg pg;
	struct batch_limits limits;
	const char *table; /* whose rows: columns COPYROW_OUT */
	bool by_ledger;    /* cdc_writes tells in which ranges they are */
	struct buf filter; /* SQL: " AND ...", or empty */
	struct batch_queue queue;

	/* private */
	struct buf source;
	int64_t until; /* the last id to be read */
	bool resting;
	int64_t read_to; /* this far */
	uint64_t read_total;
	int64_t write_no;
	PGresult *writes; /* a page of the ledger, from there on */
	int row;          /* the first that is not read to its end */
	/* the COPY that is running */
	bool copying;
	bool first;     /* its first message has not come */
	bool cancelled; /* what still comes is dropped */
	uint64_t asked; /* rows at the most */
	uint64_t rows;
	int64_t range_end; /* what it reads if there are fewer */
	int range_row;
	int at_row;      /* the write of the row that came last */
	size_t line_len; /* an estimate */
};

/* Connects; limits, table, by_ledger and filter are the caller's to set. */
int prefetch_open(struct prefetch *a, const char *conninfo);
void prefetch_close(struct prefetch *a);

/* From now on the events of this source behind the cursor. */
int prefetch_aim(struct prefetch *a, const struct cursor *c);

/* Starts no more COPYs: what is there is brought to its end. */
void prefetch_rest(struct prefetch *a);

/*
 * The next batch; it stays in the queue until prefetch_done.  With `all` a rest
 * that fills none counts as one.  No events: there is no such batch, or a stop
 * was requested.  Returns an exit code.
 */
int prefetch_next(struct prefetch *a, bool all, struct batch *b);
void prefetch_done(struct prefetch *a, const struct batch *b);

/*
 * The bytes of what is to be read of c, as far as one batch goes; the aim is
 * lost.
 */
int prefetch_measure(
    struct prefetch *a, const struct cursor *c, uint64_t *bytes);

#define PREFETCH_FDS 4

/*
 * Waits as poll(2) does, for n <= PREFETCH_FDS descriptors, taking in what the
 * server sends; also ends when a signal or something from the server arrives.
 * Returns an exit code; revents are set.
 */
int prefetch_wait(
    struct prefetch *a, struct pollfd *p, nfds_t n, int64_t timeout_ms);

#endif
