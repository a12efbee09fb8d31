/* Looking at a session from another one. */
#ifndef PG_LOOK_H
#define PG_LOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct pg;

/*
 * Opens another session, for ms at most, and asks which sessions block pg.
 * Appends a description of these to blockers, or nothing if there are none.
 * Returns whether the server answered, be it by refusing the session.  Logs
 * nothing.
 */
bool pg_look(const struct pg *pg, int64_t ms, struct buf *blockers);

#endif
