/*
 * A row as pgoutput sends it, and as the JSON object it becomes: the columns'
 * names and types are those of its relation.
 */
#ifndef TUPLE_H
#define TUPLE_H

#include "base/buf.h"
#include "reader/relation.h"
#include "reader/wire.h"

/* What metadata has to say of a column. */
enum note {
	NOTE_UNCHANGED = 1, /* the server did not send its value */
	NOTE_JSON_TEXT = 2, /* JSON that jsonb could not hold */
};

struct field {
	char kind; /* 'n' null, 'u' unchanged, 't' text */
	unsigned char notes;
	struct view text;
};

/* Zero-initialise. */
struct tuple {
	char role; /* 'K' old key, 'O' old row, 'N' new row; 0: not there */
	unsigned char notes; /* of all its fields */
	size_t n;
	struct field *fields;
	size_t cap;
};

/*
 * Reads a tuple of this role; it has as many fields as the relation columns,
 * or w fails.  Its views are into the message.
 */
void tuple_read(
    struct wire *w, struct tuple *t, char role, const struct relation *r);

/*
 * Appends it as a JSON object, of an old key the key columns alone, and sets
 * the notes.  A value that was not sent is taken from old if that has it, else
 * its key is absent.  old may be NULL.
 */
void tuple_write(struct buf *b, struct tuple *t, const struct relation *r,
    const struct tuple *old);

void tuple_release(struct tuple *t);

#endif
