/* pg-cdc-read --check: what keeps the role from taking snapshots. */
#ifndef CHECK_SNAPSHOT_H
#define CHECK_SNAPSHOT_H

#include "base/findings.h"
#include "pg/pg.h"

/* Adds a warning for each published table whose rows cannot be read.  Returns an
 * exit code, not EXIT_DONE if the server could not be asked. */
int check_snapshot(
    struct findings *found, struct pg *pg, const char *publication);

#endif
