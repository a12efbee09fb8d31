/*
 * The keys of the objects that are open while a JSON text is read, to find one
 * that stands in its object twice, however it is escaped.
 */
#ifndef JSON_KEYS_H
#define JSON_KEYS_H

#include <stdint.h>

#include "base/buf.h"
#include "json/json_error.h"

struct json_key {
	uint64_t head;   /* its first bytes, to compare at once */
	struct view key; /* decoded; p is NULL while it is in `decoded` */
	size_t from;     /* where in `decoded` */
	size_t at;       /* offset in the text */
};

/* Zero-initialise.  The innermost object's keys are the last. */
struct json_keys {
	struct json_key *a;
	size_t n;
	size_t cap;
	struct buf decoded;
};

/* Forgets all keys, for a new text. */
void json_keys_reset(struct json_keys *k);

/* Notes a key: raw is what is between its quotes, at its offset, escaped if
 * there may be an escape in it.  False, and *e set, for a lone surrogate or
 * lack of memory. */
bool json_keys_add(struct json_keys *k, struct view raw, bool escaped,
    size_t at, struct json_error *e);

/* Forgets the keys from the first-th on, those of the object that ends.  False,
 * and *e set, if two of them are the same. */
bool json_keys_close(struct json_keys *k, size_t first, struct json_error *e);

void json_keys_release(struct json_keys *k);

#endif
