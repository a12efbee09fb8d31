/*
 * Creates and drops what must exist on the source: a publication, which defines
 * what is captured, and a replication slot, which keeps the WAL until it is
 * confirmed.
 */
#ifndef PROVISION_H
#define PROVISION_H

#include "stream/tablelist.h"

struct provision_options {
	const char *conninfo; /* NULL: libpq's own settings */
	const char *slot;
	const char *publication;
	const struct table_list *tables; /* NULL: all that can be published */
	bool heartbeat; /* heartbeats will be written; for check_source */
};

/*
 * Creates what is missing, the publication first: a slot older than its
 * publication cannot be read.  Prints on stdout what it created, and which
 * tables it left out and why.  Tables of the list that an existing publication
 * lacks are added to it.  Returns an exit code.
 */
int provision_create(const struct provision_options *o);

/* Drops the slot and then the publication, if they exist; neither, if the slot
 * is not a pgoutput slot of this database.  Returns an exit code. */
int provision_drop(const struct provision_options *o);

#endif
