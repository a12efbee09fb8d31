/* Reading JSON objects. */
#ifndef JSON_READ_H
#define JSON_READ_H

#include "json/json_scan.h"

/* Reusable memory; zero-initialise. */
struct json_reader {
	struct json_members members;
	bool storable; /* see json_read_object */
};

/*
 * Reads a text that must be one object, with optional white space around it.
 * Its members are in r->members (see json_scan) until the next call.
 * r->storable says that every member's value is json_storable with unique keys
 * and depth JSON_STORE_DEPTH + 1; if false, each value must be checked.
 * Returns false and sets *e if the text is refused or memory ran out (reason
 * "out of memory").
 */
bool json_read_object(
    struct json_reader *r, struct view text, struct json_error *e);

void json_reader_release(struct json_reader *r);

#endif
