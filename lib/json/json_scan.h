/*
 * A scanner that accepts JSON strictly as RFC 8259 defines it, without
 * recursion.  Beyond the grammar it refuses bytes that are not UTF-8 (section
 * 8.1), a byte-order mark, and nesting deeper than JSON_DEPTH_MAX.
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

/* A member of an object.  Both views are raw text: the key without its quotes
 * but with its escapes, the value with its quotes. */
struct json_member {
	struct view key;
	struct view value;
	enum json_kind kind;
	bool escaped; /* false: neither key nor value holds an escape */
};

/* Reusable memory; zero-initialise. */
struct json_members {
	struct json_member *a;
	size_t n;
	size_t cap;
	struct json_keys keys; /* private */
};

void json_members_release(struct json_members *m);

/*
 * Is text one JSON value, with optional white space around it?  If it is an
 * object, *m holds its members in order, as views into text; m may be NULL.
 * Duplicate keys are allowed.
 */
bool json_scan(struct view text, struct json_members *m, struct json_error *e);

/*
 * Reads the members that come before the first error in a text that begins like
 * an object, but is cut off or not JSON.
 */
void json_scan_head(struct view text, struct json_members *m);

/*
 * Is text a JSON value that jsonb can hold without loss?  It is not if it is
 * nested deeper than depth, holds \u0000, a lone surrogate or a number beyond
 * numeric's range, is too large (see jsonb.h) or, with unique_keys, has an
 * object with a duplicate key.  Reader and writer share this rule.  depth is
 * JSON_STORE_DEPTH for the value of a column, and one more for the object of
 * all columns.
 */
#define JSON_STORE_DEPTH 256
bool json_storable(
    struct view text, size_t depth, bool unique_keys, struct json_error *e);

/* json_scan, and json_storable with unique_keys, in one pass; m is not NULL. */
bool json_scan_storable(struct view text, size_t depth, struct json_members *m,
    struct json_error *e);

#endif
