/*
 * Finds duplicate keys while a JSON text is read.  It holds the keys of all
 * objects that are open, and compares them unescaped.
 */
#ifndef JSON_KEYS_H
#define JSON_KEYS_H

#include <stdint.h>

#include "base/buf.h"
#include "json/json_error.h"

struct json_key {
	uint64_t head;   /* first bytes, for a fast comparison */
	struct view key; /* decoded; p is NULL while it is in `decoded` */
	size_t from;     /* its offset in `decoded` */
	size_t at;       /* its offset in the text */
};

/* Zero-initialise.  The keys of the innermost object are the last ones. */
struct json_keys {
	struct json_key *a;
	size_t n;
	size_t cap;
	struct buf decoded;
};

/* Removes all keys, for a new text. */
void json_keys_reset(struct json_keys *k);

/*
 * Adds a key: raw is the text between its quotes, `at` is its offset, and
 * escaped says that it may hold an escape.  Returns false and sets *e for a
 * lone surrogate, or if memory ran out.
 */
bool json_keys_add(struct json_keys *k, struct view raw, bool escaped,
    size_t at, struct json_error *e);

/* Removes the keys from index first on, which are those of the object that
 * ends.  Returns false and sets *e if two of them are equal. */
bool json_keys_close(struct json_keys *k, size_t first, struct json_error *e);

void json_keys_release(struct json_keys *k);

#endif
