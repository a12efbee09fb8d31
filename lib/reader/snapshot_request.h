/* Asking for a snapshot: a message in the source's WAL that the reader of the
 * slot finds in its stream (snapshot.h). */
#ifndef SNAPSHOT_REQUEST_H
#define SNAPSHOT_REQUEST_H

#include "reader/provision.h"

/*
 * Asks for the rows of these tables (NULL: all that are published) on behalf of
 * the slot, and says so on stdout.  Returns an exit code: EXIT_CONFIG if a table
 * is not published, EXIT_NOPERM if the role may not write messages.
 */
int snapshot_request(
    const struct provision_options *o, const struct table_list *tables);

#endif
