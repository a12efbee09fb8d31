/*
 * What must exist on the source: a publication, which says what is captured,
 * and a replication slot, which keeps the WAL until it has been.
 */
#ifndef PROVISION_H
#define PROVISION_H

#include "stream/tablelist.h"

struct provision_options {
	const char *conninfo; /* NULL: libpq's own */
	const char *slot;
	const char *publication;
	const struct table_list *tables; /* NULL: all that are fit for it */
	bool heartbeat;                  /* will be written; for a check */
};

/*
 * Makes what is missing, the publication first: a slot older than its
 * publication can never be read.  Says on stdout what it made and which tables
 * it left out and why.  Tables named in the list that an existing publication
 * lacks are added to it.  Returns an exit code.
 */
int provision_create(const struct provision_options *o);

/* Drops the slot and then the publication, as far as they exist; neither, if
 * the slot is not one of pgoutput in this database. */
int provision_drop(const struct provision_options *o);

#endif
