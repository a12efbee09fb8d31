/*
 * Where the rows of a stream came from, for the message should the server
 * refuse one: it only says which row of the COPY it was.  The last 65,536 rows
 * are remembered, more than are in a COPY or on their way into one.
 */
#ifndef PLACES_H
#define PLACES_H

#include <stdint.h>

#include "base/buf.h"

struct place {
	uint64_t line; /* of stdin */
	uint64_t commit_lsn;
	uint64_t seq; /* 0: the event has no identity */
};

/* Zero-initialise. */
struct places {
	struct place *ring;
	uint64_t next; /* number of the next row, from 0 */
};

/* The next row.  False: out of memory. */
bool places_add(struct places *p, const struct place *at);

/* The last n rows have been dropped. */
void places_drop(struct places *p, uint64_t n);

/* Appends " (line 7, event 0/1A2B400 3)" for row n, nothing if it is not
 * remembered. */
void places_name(const struct places *p, uint64_t n, struct buf *to);

void places_release(struct places *p);

#endif
