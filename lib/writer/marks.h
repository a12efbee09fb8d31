/*
 * The marks of snapshots (SNAPSHOT events) among the rows that wait for a
 * commit.  The commit that stores the rows also keeps what the marks say in
 * philotes.cdc_snapshots, by keep_marks() of sql/schema/snapshots.sql, which
 * describes the JSON text collected here.
 */
#ifndef MARKS_H
#define MARKS_H

#include "base/buf.h"
#include "stream/event.h"

/* Zero-initialise. */
struct marks {
	struct buf json; /* objects, a comma after each */
	size_t complete; /* bytes before the last boundary */
};

/* Takes the event if it is a mark. */
void marks_take(struct marks *m, const struct event *e);

/* As the functions of feed.h of these names, for the marks. */
void marks_boundary(struct marks *m);
void marks_drop(struct marks *m);

/* Are there so many complete marks that a commit is due? */
bool marks_are_many(const struct marks *m);

/* Moves the complete marks into *to, which is empty, as an array; it stays empty
 * if there are none. */
void marks_move(struct marks *m, struct buf *to);

void marks_release(struct marks *m);

#endif
