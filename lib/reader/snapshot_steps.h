/*
 * What the files that make up a snapshot share; nothing else includes this.
 *
 *	snapshot.c         messages in the stream, markers, what may be confirmed
 *	snapshot_choose.c  which tables and which leaf are next
 *	snapshot_read.c    at a marker: reads, and writes the rows
 *	snapshot_end.c     the end of a marker; marks
 *	snapshot_whole.c   tables that are read at once
 *
 * Functions that return int return an exit code and have logged the error.
 */
#ifndef SNAPSHOT_STEPS_H
#define SNAPSHOT_STEPS_H

#include "reader/snapshot.h"
#include "reader/snapshot_rules.h"

int snapshot_no_memory(void);

/*
 * Look up what is next.  If a lock on a table is in the way, or not all that was
 * streamed is visible yet, s->locked is true, nothing has changed, and they are
 * to be called again later.
 */

/* Chooses the next tables of the request at hand: as many as fit the blocks of
 * one marker, or one that is larger.  None are at hand if none are left. */
int snapshot_choose(struct snapshot *s);

/* Starts the table from its first block. */
int snapshot_choose_again(struct snapshot *s, struct snapshot_table *t);

/* Goes on to the next leaf of the table; *found is false after the last one. */
int snapshot_choose_leaf(
    struct snapshot *s, struct snapshot_table *t, bool *found);

/* Forgets what was streamed and is visible by now; *all: nothing is left. */
int snapshot_look(struct snapshot *s, bool *all);

/* Writes a mark of the table, or of the request if t is NULL; reason may be
 * NULL. */
void snapshot_mark(struct snapshot *s, struct decode *d, struct buf *out,
    const struct snapshot_table *t, const char *state, const char *reason);

/* Adapts the size of parts to the pause: so many blocks have taken this time. */
void snapshot_adapt(struct snapshot *s, uint64_t blocks, int64_t ms);

/* The marker is done with; the next one is not written before that time. */
void snapshot_end_reading(struct snapshot *s, int64_t pause_ms);

/* All tables have had their turn, or the time is over: called again until the
 * marker is done with. */
int snapshot_end_marker(struct snapshot *s, struct decode *d, struct buf *out);

/* Does what the marker that came back asks for, until out holds max bytes. */
int snapshot_read(
    struct snapshot *s, struct decode *d, struct buf *out, size_t max);

/* The part that asks for all rows of a table. */
struct chunk_part snapshot_whole_part(
    const struct snapshot *s, const struct snapshot_table *t);

/*
 * Before a marker is written: takes the database snapshot for one of the tables
 * that are read at once, if there is one.  *lock: the table must be locked until
 * the marker is committed, and is.
 */
int snapshot_whole_arm(struct snapshot *s, bool *locked);

/* The database snapshot is not wanted any more. */
int snapshot_whole_disarm(struct snapshot *s);

/*
 * At the marker: may the armed table be read?  If not, it is disarmed, and
 * *reason says why it has failed, or is NULL if it is to be tried again.
 */
int snapshot_whole_ready(struct snapshot *s, struct snapshot_table *t,
    bool *ready, const char **reason);

#endif
