/*
 * Schema lines (philotes-stream(5)): a line that says how to read the events of
 * its table that follow, before the first of them, and another one whenever it
 * would be another text.
 */
#ifndef SCHEMA_LINE_H
#define SCHEMA_LINE_H

#include "base/buf.h"
#include "reader/hints.h"

struct schema_slot {
	uint64_t key;  /* stands for a table's names, or for its OID; 0: free */
	uint64_t line; /* the line of it that was printed last */
};

/* Zero-initialise, then set hints.conninfo. */
struct schema_lines {
	struct hints hints;

	/* private: a hash table, open addressing */
	struct schema_slot *slots;
	size_t cap;
	size_t n;
	struct buf names; /* of a line: what comes before "schema" */
	struct buf rest;  /* and what comes after it */
};

/*
 * Appends the schema line of r, unless that is the line of its table that was
 * appended last, under whatever name the table then had.  If memory runs out,
 * out->failed is set.
 */
void schema_lines_tell(struct schema_lines *s, struct relation *r,
    struct view source_id, struct buf *out);

void schema_lines_release(struct schema_lines *s);

#endif
