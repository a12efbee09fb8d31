/* A session as another one sees it. */
#ifndef PG_LOOK_H
#define PG_LOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct pg;

/*
 * Connects once more and asks who is in the way of pg, for ms at most: appends
 * them to blockers, in words, nothing if there is nobody.  False: nobody
 * answered; true also if the server turned us away.  Logs nothing.
 */
bool pg_look(const struct pg *pg, int64_t ms, struct buf *blockers);

#endif
