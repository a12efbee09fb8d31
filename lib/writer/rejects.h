/*
 * The file of lines that could not be accepted.  A record is two lines: why, as
 * a JSON object, then the rejected line itself, byte for byte.
 *
 *	{"line":3,"byte":12,"key":"lsn","reason":"is missing", …}
 *	{"source_id":"shop", …}
 *
 * Records are appended.  One that a crash cut off is made up to two lines when
 * the file is opened; it was not acknowledged and comes again.
 *
 * Functions return an exit code: EXIT_IO if the file cannot be written.
 */
#ifndef REJECTS_H
#define REJECTS_H

#include "stream/event_read.h"

struct rejects {
	const char *path; /* NULL: there is no such file */
	int fd;
	struct buf b;      /* not written yet */
	uint64_t unsynced; /* records that are not known to be on disk */
};

/* Opens the file, making it if it is not there, for its owner only: it holds
 * row values.  path NULL: does nothing. */
int rejects_open(struct rejects *r, const char *path);

/* A record, its line in pieces: begin, then add and end. */
void rejects_begin(
    struct rejects *r, uint64_t line, const struct line_error *e);
int rejects_add(struct rejects *r, struct view piece);
int rejects_end(struct rejects *r);

/* When it returns EXIT_DONE all records are on disk. */
int rejects_sync(struct rejects *r);

void rejects_close(struct rejects *r);

#endif
