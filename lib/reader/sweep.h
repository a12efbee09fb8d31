/*
 * Removes the relations of dropped tables from the cache: the stream does not
 * report a DROP TABLE.  When the cache has grown, a short-lived connection asks
 * the source which of the cached OIDs no longer exist.  The unread WAL may have
 * changes of these, so they are removed only after the stream has passed the
 * position where the WAL ended when the source was asked.
 */
#ifndef SWEEP_H
#define SWEEP_H

#include "pg/pg.h"
#include "reader/relation.h"

/* Zero-initialise; conninfo is the caller's. */
struct sweep {
	const char *conninfo;
	size_t limit;       /* cache size at which to ask next */
	PGresult *gone;     /* OIDs to forget; NULL: none */
	uint64_t lsn;       /* forget them once all is read up to here */
	uint64_t described; /* the cache's counter at the question: relations
			     * described later are kept */
};

/*
 * To be called between transactions; everything up to `complete` was read.  If
 * the source cannot be asked, that is logged as info, and tried again later.
 */
void sweep_work(struct sweep *s, struct relation_cache *c, uint64_t complete);

void sweep_release(struct sweep *s);

#endif
