/*
 * Detects transaction pooling.  The tools hold advisory locks, which belong to
 * a server session, so a connection pooler must give each client a session of
 * its own (session pooling).
 */
#ifndef POOLER_H
#define POOLER_H

#include "pg/pg_connect.h"

/*
 * Returns EXIT_CONFIG if pg, a connection to t that was just opened, shares its
 * server session with other clients.  Stores the process ID of the session in
 * pg->backend.
 */
int pooler_check(struct pg *pg, const struct pg_target *t);

/* Logs that the session is shared; returns EXIT_CONFIG. */
int pooler_refuse(void);

#endif
