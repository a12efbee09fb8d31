/*
 * What the files that make up a snapshot share; nothing else includes this.
 *
 *	snapshot.c         messages in the stream, markers, what may be confirmed
 *	snapshot_choose.c  which table and which leaf is next
 *	snapshot_read.c    at a marker: reads, and writes the rows and marks
 *
 * Functions that return int return an exit code and have logged the error.
 */
#ifndef SNAPSHOT_STEPS_H
#define SNAPSHOT_STEPS_H

#include "reader/snapshot.h"

/* A test build leaves out one of the rules of the design, to show that the rule
 * is needed. */
#ifndef SNAPSHOT_RULES
#define SNAPSHOT_RULES ~0u
#endif
#define SNAPSHOT_RULE(n) ((SNAPSHOT_RULES >> (n)&1) != 0)

/* Chooses the next table of the request at hand, and its first leaf.  Its name
 * is empty if there is none. */
int snapshot_choose(struct snapshot *s);

/* Starts the table at hand from its first block. */
int snapshot_choose_again(struct snapshot *s);

/* Goes on to the next leaf of the table; *found is false after the last one. */
int snapshot_choose_leaf(struct snapshot *s, bool *found);

/* Does what the marker that came back asks for, until out holds max bytes. */
int snapshot_read(
    struct snapshot *s, struct decode *d, struct buf *out, size_t max);

#endif
