/*
 * Reading JSON objects.
 */
#ifndef JSON_READ_H
#define JSON_READ_H

#include "json/json_escape.h"
#include "json/json_scan.h"

/* Reusable memory; zero-initialise. */
struct json_reader {
	struct json_members members;
	bool storable; /* what was read last, see json_read_object */
};

/*
 * Reads a text that must be one object, white space around it allowed.
 * r->members are its members, see json_scan, valid until the next call.  False
 * on refusal with *e set; reason "out of memory" if so.  r->storable: every
 * member's value is known to be json_storable, with unique keys, at
 * JSON_STORE_DEPTH + 1.
 */
bool json_read_object(
    struct json_reader *r, struct view text, struct json_error *e);

void json_reader_release(struct json_reader *r);

#endif
