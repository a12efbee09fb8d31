/*
 * Reading JSON objects: the recogniser (json_scan.h) first, jsmn's tokens
 * behind it.  jsmn.h is included by json_read.c only.
 */
#ifndef JSON_READ_H
#define JSON_READ_H

#include "buf.h"
#include "json_escape.h"
#include "json_scan.h"

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
	bool storable; /* what was read last, see json_read_object */
};

/*
 * Parses a text that must be one object, white space around it allowed.
 * r->members[0..nmembers) are its members in order, views into text, valid
 * until the next call.  Duplicate keys do not matter.  False on refusal with *e
 * set; reason "out of memory" if so.  r->storable: every member's value is
 * known to be json_storable, with unique keys, at JSON_STORE_DEPTH + 1.
 */
bool json_read_object(
    struct json_reader *r, struct view text, struct json_error *e);

void json_reader_release(struct json_reader *r);

#endif
