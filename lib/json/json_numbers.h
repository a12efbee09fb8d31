/*
 * Numbers that binary floating point does not keep: those with more than 15
 * significant digits, or with a magnitude below 1e-307 or from 1e308 on.
 */
#ifndef JSON_NUMBERS_H
#define JSON_NUMBERS_H

#include "base/buf.h"

/* Does binary floating point keep the JSON number? */
bool json_number_is_safe(struct view number);

/*
 * Returns the object, whose members are the columns of a row, with the unsafe
 * numbers among its values as strings; the object itself if there are none,
 * else text in b, which is cleared before.  b->failed: out of memory.
 *
 * A value is a number, or an SQL array of numbers: of numbers, nulls and the
 * strings NaN, Infinity, -Infinity and -0 alone, and without white space.  All
 * others are documents, and stay as they are.  The object must be valid JSON.
 */
struct view json_numbers_quote(struct view object, struct buf *b);

#endif
