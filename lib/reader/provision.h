/*
 * Creates and drops what must exist on the source: a publication, which defines
 * what is captured, and a replication slot, which keeps the WAL until it is
 * confirmed.  Functions that return int return an exit code and have logged the
 * error; what they did they print on stdout.
 */
#ifndef PROVISION_H
#define PROVISION_H

#include "stream/tablelist.h"

/* Which rows to ask for: of all published tables if neither is set. */
struct provision_snapshot {
	bool added; /* of the tables that are added to the publication; of all
		     * if the slot is created */
	const struct table_list *tables; /* of these; NULL: see above */
};

struct provision_options {
	const char *conninfo; /* NULL: libpq's own settings */
	const char *slot;
	const char *publication;
	const struct table_list *tables; /* NULL: all that can be published */
	const struct provision_snapshot
	    *snapshot;        /* for provision_create; or NULL */
	const char *key_file; /* of snapshot_key_read */
	bool heartbeat;       /* heartbeats will be written; for check_source */
};

/*
 * Creates what is missing, the publication first: a slot older than its
 * publication cannot be read.  Prints which tables it left out and why.  Tables
 * of the list that an existing publication lacks are added to it.
 *
 * A snapshot is asked for in the statement that creates the slot, or in the
 * transaction that adds the tables, so that there is no one without the other.
 */
int provision_create(const struct provision_options *o);

/*
 * Looks for tables that an existing publication lacks, of the list if there is
 * one.  Those that can be published are added, with a request for their rows,
 * if `add` is set; the others are printed, with the reason.  EXIT_CONFIG if
 * there is no publication, EXIT_OPERATOR if there is no slot.
 */
int provision_new_tables(const struct provision_options *o, bool add);

/* Drops the slot and then the publication, if they exist; neither, if the slot
 * is not a pgoutput slot of this database. */
int provision_drop(const struct provision_options *o);

/* Drops the slot alone. */
int provision_drop_slot(const struct provision_options *o);

#endif
