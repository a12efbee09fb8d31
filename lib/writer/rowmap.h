/*
 * Maps rows to the lines and events they came from.  An error of the server
 * only has the number of the row in the COPY.  The map holds the last 65,536
 * rows, which is more than a COPY and the rows waiting for it have.
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

/* Adds the next row.  False: out of memory. */
bool rowmap_add(struct rowmap *m, const struct row_origin *at);

/* Removes the last n rows. */
void rowmap_drop(struct rowmap *m, uint64_t n);

/* Appends " (line 7, event 0/1A2B400 3)" for row n, nothing if the map does
 * not hold that row. */
void rowmap_describe(const struct rowmap *m, uint64_t n, struct buf *to);

void rowmap_release(struct rowmap *m);

#endif
