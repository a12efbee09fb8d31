/*
 * Transactions that wait for a synchronous standby.  Their commit is in the WAL,
 * and in the stream, but no session sees it yet.  One that was streamed before a
 * snapshot was asked for, perhaps by a reader before us, can only be asked for.
 */
#ifndef WAITING_H
#define WAITING_H

#include "pg/pg.h"
#include "reader/visible.h"

/*
 * Adds those that wait now.  They include every transaction that is not visible
 * and was streamed a second ago or earlier, provided that nothing but a standby
 * makes a commit wait for so long.  Returns an exit code.
 */
int waiting_add(struct pg *pg, struct visible *v);

/* To be called whenever a snapshot finds that they are not all visible: logs for
 * which it waits, once it has waited a second for the same one. */
void waiting_log(struct visible *v);

#endif
