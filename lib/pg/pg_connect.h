/* Connecting to a database. */
#ifndef PG_CONNECT_H
#define PG_CONNECT_H

#include "pg/pg.h"

struct pg_target {
	const char *what;     /* "source" or "buffer" */
	const char *conninfo; /* NULL: libpq's variables and defaults */
	bool replication;     /* a walsender connection */
};

/*
 * Checks the settings before the first connection.  Returns EXIT_CONFIG if no
 * database was given at all: no conninfo, and no variable that names a
 * database, ours or libpq's.  Returns EXIT_USAGE if conninfo has a password and
 * did not come from the environment.
 */
int pg_connect_check(const struct pg_target *t);

/* Connects, within 30 s; a server older than version 14 is EXIT_CONFIG.  The
 * caller must pg_close *pg, whatever the result. */
int pg_connect(struct pg *pg, const struct pg_target *t);

/*
 * Does the server refuse new sessions, as it does while it starts or shuts
 * down?  Asks it, and waits for two seconds at most.
 */
bool pg_connect_turned_away(const struct pg_target *t);

#endif
