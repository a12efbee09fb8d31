/*
 * A recogniser of JSON, RFC 8259 to the letter, iterative.  Refused on top of
 * the grammar: bytes that are not UTF-8 (section 8.1), a byte-order mark,
 * nesting deeper than JSON_DEPTH_MAX.
 */
#ifndef JSON_SCAN_H
#define JSON_SCAN_H

#include "base/view.h"
#include "json/json_error.h"
#include "json/json_keys.h"

#define JSON_DEPTH_MAX 512

enum json_kind {
	JSON_NULL,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

/* One member of an object.  Both views are raw text: the key without its
 * quotes but with its escapes, the value with its quotes. */
struct json_member {
	struct view key;
	struct view value;
	enum json_kind kind;
	bool escaped; /* not so: there is no escape in it */
};

/* Reusable memory; zero-initialise. */
struct json_members {
	struct json_member *a;
	size_t n;
	size_t cap;
	struct json_keys keys; /* private */
};

void json_members_release(struct json_members *m);

/* Is text one JSON value, white space around it allowed?  Then *m (NULL: not
 * asked for) holds the members, in order and as views into text, of the object
 * that it is.  Duplicate keys do not matter. */
bool json_scan(struct view text, struct json_members *m, struct json_error *e);

/*
 * Of a text that is no JSON, or only the beginning of one: the members of the
 * object that it begins with, as far as that can be said.
 */
void json_scan_head(struct view text, struct json_members *m);

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

/* Both in one pass: json_scan, and json_storable with unique_keys; m is not
 * NULL. */
bool json_scan_storable(struct view text, size_t depth, struct json_members *m,
    struct json_error *e);

#endif
