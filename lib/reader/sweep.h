/*
 * Removes relations from the cache whose tables were dropped, which the stream
 * does not tell.  When the cache has grown, it asks the source, on a
 * short-lived connection, which of its OIDs no longer exist.  The unread WAL
 * may still have changes of these; they are removed once the stream has passed
 * the end that the WAL had at the time of the question.
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
