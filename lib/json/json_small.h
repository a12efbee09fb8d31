/*
 * Reading small JSON documents that are not events, such as the timeline
 * history in a start line, into an array of tokens.  Events are read by
 * json_scan.h in one pass without such an array.
 */
#ifndef JSON_SMALL_H
#define JSON_SMALL_H

#include "json/json_scan.h"

struct json_token {
	enum json_kind kind;
	struct view text; /* of a string: without its quotes, not unescaped */
	size_t n;         /* elements of an array, members of an object */
};

/*
 * The tokens in the order of the document: an array is followed by its
 * elements, an object by key, value, key, value, …
 */
struct json_small {
	struct json_token *tokens;
	size_t n;
};

/*
 * Reads text, which must be one JSON value as in json_scan.  The tokens are
 * views into text.  Returns false, with nothing to release, if text is not JSON
 * or memory ran out.
 */
bool json_small_read(struct json_small *d, struct view text);

/* The token behind token i and all that is in it; d->n: there is none. */
size_t json_small_next(const struct json_small *d, size_t i);

/* The value of a member of the object at token i; 0: there is none.  Escapes in
 * keys are not decoded. */
size_t json_small_member(const struct json_small *d, size_t i, struct view key);

/* Puts the text of a string into *to, its escapes decoded.  False: half a pair of
 * surrogates, or to->failed. */
bool json_small_text(const struct json_token *t, struct buf *to);

void json_small_release(struct json_small *d);

#endif
