/*
 * The schema lines of the stream, until they go into effect: a line does so with
 * the first event of its table that is stored after it, and only if it is
 * another one than the last line of the table in philotes.cdc_schemas: by its
 * names, and by its relid, since a table may have had another name meanwhile.
 */
#ifndef SCHEMA_INTAKE_H
#define SCHEMA_INTAKE_H

#include "pg/pg.h"
#include "stream/event.h"

struct schema_entry; /* of a table */

/* A hash table, open addressing.  Zero-initialise. */
struct schema_intake {
	struct schema_entry **entries;
	size_t cap;
	size_t n;
	size_t waiting; /* entries whose line waits for an event */
	struct buf key; /* of the entry looked for */
	struct buf due; /* what schema_intake_due has returned */
	/* sources whose lines in force were read, each after its length */
	struct buf loaded;
};

/* Reads which lines of the source are in force, once.  Nobody else may store
 * events of it from then on.  Returns an exit code. */
int schema_intake_load(
    struct schema_intake *s, struct pg *pg, struct view source);

/* Takes a schema line.  False: out of memory. */
bool schema_intake_take(
    struct schema_intake *s, const struct stream_schema *line);

/*
 * The event will be stored: *text is the line that goes into effect with it, or
 * null.  It is in force from then on, and valid until the next call.  False:
 * out of memory.
 */
bool schema_intake_due(
    struct schema_intake *s, const struct event *e, struct view *text);

void schema_intake_release(struct schema_intake *s);

#endif
