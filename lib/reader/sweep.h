/*
 * Forgets the relations whose tables were dropped, which the stream does not
 * say.  When the cache has grown the source is asked, on a connection made for
 * that, which of them are gone; what is gone may still have changes in the WAL
 * that has not been read, so it is forgotten when reading has come to where the
 * WAL ended then.
 */
#ifndef SWEEP_H
#define SWEEP_H

#include "pg/pg.h"
#include "reader/relation.h"

/* Zero-initialise; conninfo is the caller's. */
struct sweep {
	const char *conninfo;
	size_t limit;   /* relations in the cache before the next question */
	PGresult *gone; /* OIDs, or NULL: none to be forgotten */
	uint64_t lsn;   /* once all is read up to here, */
	uint64_t described; /* if not described after this relation */
};

/*
 * Between transactions, everything up to `complete` having been read.  A source
 * that cannot be asked is asked later; that is logged as info.
 */
void sweep_work(struct sweep *s, struct relation_cache *c, uint64_t complete);

void sweep_release(struct sweep *s);

#endif
