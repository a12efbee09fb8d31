/* The part of check.h that is about messages of snapshots: who can write them,
 * and so ask for a snapshot or forge its markers. */
#ifndef CHECK_MESSAGES_H
#define CHECK_MESSAGES_H

#include "base/findings.h"
#include "pg/pg.h"

/*
 * Adds what it finds: an error if the key file (NULL: none) cannot be used, a
 * warning if there is none and everybody may write messages.  Returns an exit
 * code, of a failed query alone.
 */
int check_messages(struct findings *found, struct pg *pg, const char *key_file);

#endif
