/*
 * How far the slot may be confirmed while a snapshot is under way.  A marker is
 * needed as the state until the next one is acknowledged, so what may be
 * confirmed lags behind what is durable.
 */
#ifndef SNAPSHOT_HOLD_H
#define SNAPSHOT_HOLD_H

#include <stdint.h>

#include "base/view.h"

#define SNAPSHOT_HOLDS 64 /* markers that are not acknowledged */

/* Zero-initialise, and set hold to UINT64_MAX. */
struct snapshot_hold {
	struct {
		uint64_t end;   /* once this is durable, */
		uint64_t begin; /* this may be confirmed; UINT64_MAX: all */
	} ring[SNAPSHOT_HOLDS];
	size_t first;
	size_t n;
	uint64_t hold; /* not beyond that; UINT64_MAX: without a limit */
};

/* Once `end` is durable, WAL is needed from `begin` on (UINT64_MAX: none is). */
void snapshot_hold_add(struct snapshot_hold *h, uint64_t end, uint64_t begin);

/* Keeps the WAL from here on if none of before is kept. */
void snapshot_hold_from(struct snapshot_hold *h, uint64_t lsn);

/* What may be confirmed when everything up to `durable` is durable. */
uint64_t snapshot_hold_confirm(struct snapshot_hold *h, uint64_t durable);

/* Is there no room for one more? */
static inline bool
snapshot_hold_full(const struct snapshot_hold *h)
{
	return h->n == SNAPSHOT_HOLDS;
}

#endif
