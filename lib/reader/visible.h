/*
 * Transactions of the stream that a database snapshot may not show yet.  The
 * order of commits in the WAL is not the order in which transactions become
 * visible: one that waits for a synchronous standby is in the stream before any
 * session can see it.
 */
#ifndef VISIBLE_H
#define VISIBLE_H

#include <stdint.h>

#include "base/view.h"

/* Zero-initialise. */
struct visible {
	uint32_t *xids;
	size_t n;
	size_t room;

	/* of waiting_log: the oldest, since when (clock_ms), and is it told? */
	uint32_t oldest;
	int64_t oldest_since;
	bool told;
};

/* Adds a transaction, by the low 32 bits of its id.  False: out of memory. */
bool visible_add(struct visible *v, uint32_t xid);

/* Does a snapshot, as in visible_all, show the transaction? */
bool visible_is(uint32_t xid, struct view snapshot);

/*
 * Does the snapshot show all transactions?  Those that it shows are forgotten.
 * It is the text of pg_current_snapshot(), "xmin:xmax:xip,..." (PostgreSQL
 * manual, table "Snapshot Components").
 */
bool visible_all(struct visible *v, struct view snapshot);

void visible_release(struct visible *v);

#endif
