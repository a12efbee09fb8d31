/*
 * Where the rows of a stream came from, for the message should the server
 * refuse one: it only says which row of the COPY it was.  The last 65,536 rows
 * are remembered, more than are in a COPY or on their way into one.
 */
#ifndef ROWMAP_H
#define ROWMAP_H

#include <stdint.h>

#include "base/buf.h"

struct row_origin {
	uint64_t line; /* of stdin */
	uint64_t commit_lsn;
	uint64_t seq; /* 0: the event has no identity */
};

/* Zero-initialise. */
struct rowmap {
	struct row_origin *ring;
	uint64_t next; /* number of the next row, from 0 */
};

/* The next row.  False: out of memory. */
bool rowmap_add(struct rowmap *p, const struct row_origin *at);

/* The last n rows have been dropped. */
void rowmap_drop(struct rowmap *p, uint64_t n);

/* Appends " (line 7, event 0/1A2B400 3)" for row n, nothing if it is not
 * remembered. */
void rowmap_describe(const struct rowmap *p, uint64_t n, struct buf *to);

void rowmap_release(struct rowmap *p);

#endif
