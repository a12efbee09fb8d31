/*
 * A connection pooler between us and the buffer must keep a session for us
 * alone: locks live in it.
 */
#ifndef POOLER_H
#define POOLER_H

#include "pg/pg_connect.h"

/*
 * Refuses, with EXIT_CONFIG, a pooler that gives the server's session of pg, a
 * connection to t just opened, to others between transactions.  Leaves the
 * server's process in pg->backend.
 */
int pooler_check(struct pg *pg, const struct pg_target *t);

/* Says that the session has been found to be shared; EXIT_CONFIG. */
int pooler_refuse(void);

#endif
