/*
 * A row of COPY TO STDOUT in text format (PostgreSQL manual, "COPY", Text
 * Format):
 *
 *	row	= field ( TAB field )* NL
 *	field	= "\N" (null) | ( byte | escape )*
 *	escape	= "\" ( "b" | "f" | "n" | "r" | "t" | "v" | "\" )
 *
 * The server writes no other escape.
 */
#ifndef COPYTEXT_H
#define COPYTEXT_H

#include "reader/tuple.h"

/*
 * Reads a row of n columns into *t as a new row.  The escapes are decoded in
 * place, so the fields of *t are views into row.  False, and *reason a literal,
 * if the row is malformed or there is no memory.
 */
bool copytext_read(
    char *row, size_t len, size_t n, struct tuple *t, const char **reason);

#endif
