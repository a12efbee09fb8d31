/*
 * Reading JSON, RFC 8259 to the letter: a strict, iterative recogniser first,
 * jsmn's tokens behind it (jsmn alone accepts {"a":1,}, tru and raw control
 * bytes).  jsmn.h is included by json_read.c only.
 *
 * Refused on top of the grammar: bytes that are not UTF-8 (section 8.1), a
 * byte-order mark, nesting deeper than JSON_DEPTH_MAX.
 */
#ifndef JSON_READ_H
#define JSON_READ_H

#include "buf.h"

#define JSON_DEPTH_MAX 512

/* Why a text was refused, and where. */
struct json_error {
	const char *reason; /* a literal: "unexpected character" */
	size_t offset;      /* byte offset in the text */
};

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
};

/* Reusable memory of the parser; zero-initialise. */
struct json_reader {
	void *tokens;
	size_t cap;
	struct json_member *members;
	size_t nmembers;
	size_t cap_members;
};

/*
 * Parses a text that must be one object, white space around it allowed.
 * r->members[0..nmembers) are its members in order, views into text, valid
 * until the next call.  Duplicate keys are not looked for.  False on refusal
 * with *e set; reason "out of memory" if so.
 */
bool json_read_object(
    struct json_reader *r, struct view text, struct json_error *e);

void json_reader_release(struct json_reader *r);

/*
 * The decoded content of a JSON string: raw is the text between the quotes,
 * already recognised.  Without an escape it is raw itself, else the decoded
 * bytes are appended to scratch and the view points there (scratch must not
 * move afterwards: see buf.h).  A null view, and *e set, if the escapes cannot
 * be UTF-8: a lone surrogate.
 */
struct view json_unescape(
    struct view raw, struct buf *scratch, struct json_error *e);

/*
 * Is text a JSON value, and one that jsonb can hold with nothing lost?  It is
 * not if it is nested deeper than depth, holds \u0000, a lone surrogate, a
 * number beyond numeric's range (more than 131072 digits before or 16383 after
 * the point, PostgreSQL manual table 8.2) or, with unique_keys, an object with
 * a key twice (compared after unescaping).  The one rule for reader and writer.
 * depth is JSON_STORE_DEPTH for a column's value, and one more for the object
 * of all columns.  On false, *e says why.
 */
#define JSON_STORE_DEPTH 256
bool json_storable(
    struct view text, size_t depth, bool unique_keys, struct json_error *e);

#endif
