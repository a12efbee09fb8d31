/*
 * The places among the rows that wait where a schema line goes into effect: it
 * must be stored after the rows before it, in the same transaction.
 */
#ifndef SPLITS_H
#define SPLITS_H

#include <stdint.h>

#include "base/buf.h"

struct split {
	size_t at;     /* bytes of rows before it */
	uint64_t rows; /* and their number */
	size_t len;    /* of its text */
};

/* Zero-initialise. */
struct splits {
	struct split *a;
	size_t n;
	size_t room;
	struct buf text; /* the lines */
};

/* Adds one after all others.  False: out of memory. */
bool splits_add(struct splits *s, size_t at, uint64_t rows, struct view text);

/* The first one; NULL: there is none. */
static inline const struct split *
splits_first(const struct splits *s)
{
	return s->n > 0 ? s->a : NULL;
}

/* Removes the first one; its text replaces *text. */
void splits_take(struct splits *s, struct buf *text);

/* The first rows have gone: so many bytes, and so many rows. */
void splits_shift(struct splits *s, size_t bytes, uint64_t rows);

/* Removes those that have `at` bytes before them, or more. */
void splits_drop(struct splits *s, size_t at);

void splits_release(struct splits *s);

#endif
