/*
 * Small JSON documents that are not events, for example the history of
 * timelines in a start line: the whole document becomes an array of tokens.
 * Events are read by json_scan.h, which takes one pass and no array.
 */
#ifndef JSON_SMALL_H
#define JSON_SMALL_H

#include "json/json_scan.h"

struct json_token {
	enum json_kind kind;
	struct view text; /* of a string: between its quotes, escapes as they
			   * are */
	size_t n;         /* elements of an array, members of an object */
};

/*
 * Tokens in the order of the document: an array is followed by its elements, an
 * object by key, value, key, value, …
 */
struct json_small {
	struct json_token *tokens;
	size_t n;
};

/*
 * Reads text, which must be one JSON value (RFC 8259, as json_scan has it).
 * The tokens are views into text.  False, and nothing to release, if it is not
 * JSON or there is no memory.
 */
bool json_small_read(struct json_small *d, struct view text);

void json_small_release(struct json_small *d);

#endif
