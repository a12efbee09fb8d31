/*
 * A tuple as pgoutput sends it, and its JSON object.  The names and types of
 * the columns are those of its relation.
 */
#ifndef TUPLE_H
#define TUPLE_H

#include "base/buf.h"
#include "reader/relation.h"
#include "reader/wire.h"

/* What metadata says about a column. */
enum note {
	NOTE_UNCHANGED = 1, /* the server did not send the value */
	NOTE_JSON_TEXT = 2, /* JSON that jsonb cannot hold, as a string */
};

struct field {
	char kind; /* 'n' null, 'u' unchanged, 't' text */
	unsigned char notes;
	struct view text;
};

/* Zero-initialise. */
struct tuple {
	char role; /* 'K' old key, 'O' old row, 'N' new row; 0: no tuple */
	unsigned char notes; /* of all fields together */
	size_t n;
	struct field *fields;
	size_t cap;
};

/* Makes room for n fields.  False: out of memory. */
bool tuple_reserve(struct tuple *t, size_t n);

/*
 * Reads a tuple.  w fails unless it has as many fields as the relation has
 * columns.  Its views point into the message.
 */
void tuple_read(
    struct wire *w, struct tuple *t, char role, const struct relation *r);

/*
 * Appends the tuple as a JSON object, for an old key only with the key columns,
 * and sets the notes.  A value that was not sent is taken from old if it is
 * there, else the column is absent.  old may be NULL.
 */
void tuple_write(struct buf *b, struct tuple *t, const struct relation *r,
    const struct tuple *old);

void tuple_release(struct tuple *t);

#endif
