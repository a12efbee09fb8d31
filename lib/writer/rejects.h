/*
 * The file of --rejects: lines that could not be accepted.  A record has two
 * lines: the reason, as a JSON object, and the rejected line, byte for byte.
 *
 *	{"line":3,"byte":12,"key":"lsn","reason":"is missing", …}
 *	{"source_id":"shop", …}
 *
 * Records are appended.  If a crash cut off the last one, opening the file ends
 * it with newlines; its line was not acknowledged and will be sent again.
 *
 * Functions return an exit code: EXIT_IO if the file cannot be written.
 */
#ifndef REJECTS_H
#define REJECTS_H

#include "stream/event_read.h"

struct rejects {
	const char *path; /* NULL: there is no file */
	int fd;
	struct buf b;      /* not written yet */
	uint64_t unsynced; /* records that may not be on disk yet */
};

/* Opens the file.  Creates it with mode 0600, since it holds row values.  path
 * NULL: does nothing. */
int rejects_open(struct rejects *r, const char *path);

/* Writes a record: begin with the reason, add the line in pieces, end. */
void rejects_begin(
    struct rejects *r, uint64_t line, const struct line_error *e);
int rejects_add(struct rejects *r, struct view piece);
int rejects_end(struct rejects *r);

/* Syncs the records to disk, and warns of them. */
int rejects_sync(struct rejects *r);

void rejects_close(struct rejects *r);

#endif
