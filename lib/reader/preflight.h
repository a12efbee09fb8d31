/*
 * The conditions for reading the source.  A reader checks them when it starts,
 * and --check reports the same findings, so both end with the same exit code.
 */
#ifndef PREFLIGHT_H
#define PREFLIGHT_H

#include "base/findings.h"
#include "pg/pg.h"

/*
 * Checks the server's version and wal_level, the slot and the publication, and
 * adds what it finds.  *confirmed is the slot's confirmed_flush_lsn.  Returns
 * the code of the first error: EXIT_OPERATOR if the slot is missing or lost;
 * EXIT_CONFIG if it is of another plugin or database, if the publication is
 * missing, or if wal_level is not logical; EXIT_RETRY if another process reads
 * the slot or it is still being created.
 */
int preflight_look(struct findings *found, struct pg *pg, const char *slot,
    const char *publication, uint64_t *confirmed);

/* The same, but logs the first error and reports nothing else. */
int preflight_start(struct pg *pg, const char *slot, const char *publication,
    uint64_t *confirmed);

#endif
