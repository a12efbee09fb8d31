/* A database to connect to, and connecting to it. */
#ifndef PG_CONNECT_H
#define PG_CONNECT_H

#include "pg/pg.h"

/*
 * Which database: conninfo as libpq has it (a URI, key=value, or NULL for
 * libpq's own environment and defaults).
 */
struct pg_target {
	const char *what;
	const char *conninfo;
	bool replication; /* a walsender connection to that database */
};

/*
 * Refuses, with EXIT_CONFIG, a target for which nothing at all was given:
 * neither conninfo nor any of libpq's own variables; and, with EXIT_USAGE, a
 * conninfo with a password that is not the one in the environment's variable.
 */
int pg_connect_check(const struct pg_target *t, const char *variable);

/* Connects, for 30 s at most; a server older than version 14 is EXIT_CONFIG.
 * *pg is closed by pg_close, whatever the result. */
int pg_connect(struct pg *pg, const struct pg_target *t);

/*
 * Does the server of t turn new sessions away, as it does while it starts or
 * shuts down?  Asks it, for two seconds at most.
 */
bool pg_connect_turned_away(const struct pg_target *t);

#endif
