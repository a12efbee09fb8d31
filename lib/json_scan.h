/*
 * A recogniser of JSON, RFC 8259 to the letter, iterative.  Refused on top of
 * the grammar: bytes that are not UTF-8 (section 8.1), a byte-order mark,
 * nesting deeper than JSON_DEPTH_MAX.
 */
#ifndef JSON_SCAN_H
#define JSON_SCAN_H

#include "json_error.h"
#include "view.h"

#define JSON_DEPTH_MAX 512

/* Is text one JSON value, white space around it allowed?  Then *ntokens is the
 * number of its values and keys, inner ones counted. */
bool json_scan(struct view text, size_t *ntokens, struct json_error *e);

/*
 * Is text a JSON value, and one that jsonb can hold with nothing lost?  It is
 * not if it is nested deeper than depth, holds \u0000, a lone surrogate, a
 * number beyond numeric's range, is too large (see jsonb.h) or, with
 * unique_keys, has an object with a key twice (compared after unescaping).  The
 * one rule for reader and writer.  depth is JSON_STORE_DEPTH for a column's
 * value, and one more for the object of all columns.
 */
#define JSON_STORE_DEPTH 256
bool json_storable(
    struct view text, size_t depth, bool unique_keys, struct json_error *e);

/* Both in one pass: json_scan, and json_storable with unique_keys. */
bool json_scan_storable(
    struct view text, size_t depth, size_t *ntokens, struct json_error *e);

#endif
