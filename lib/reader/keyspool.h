/*
 * A queue of keys, for rows that a snapshot must read again.  Up to
 * KEYSPOOL_MEMORY bytes are in memory, older ones in a temporary file, which has
 * no name and so ends with the process.
 *
 *	add ─▶ memory ─▶ file ─▶ batch, drop
 *
 * The keys of a batch stay until they are dropped, so that they can be read once
 * more if that failed; meanwhile keys may be added:
 *
 *	rc = keyspool_batch(k, max, &keys);
 *	… read the rows …
 *	keyspool_drop(k);
 */
#ifndef KEYSPOOL_H
#define KEYSPOOL_H

#include <stdint.h>

#include "base/buf.h"

#define KEYSPOOL_MEMORY ((size_t)1 << 20)
#define KEYSPOOL_BATCH  1000 /* keys */

/* Zero-initialise. */
struct keyspool {
	struct buf memory; /* the newest keys, a line each */
	size_t first;      /* the oldest of these; before it: dropped */
	size_t last;       /* the newest of these */
	uint64_t count;

	bool spilled; /* there is a file */
	int fd;
	struct buf path;  /* its former name, for messages */
	uint64_t written; /* bytes of the file */
	uint64_t read;    /* those before it were dropped */

	/* the last batch: lines, and their bytes */
	size_t batch_keys;
	size_t batch_bytes;
};

static inline uint64_t
keyspool_count(const struct keyspool *k)
{
	return k->count;
}

/*
 * Adds a key: a JSON array without line breaks; nothing if it equals the newest
 * key.  Returns an exit code: EXIT_IO if the temporary file, in $TMPDIR or /tmp,
 * could not be made or written; EXIT_OS without memory.
 */
int keyspool_add(struct keyspool *k, struct view key);

/*
 * Puts the oldest keys into *keys, with commas between: up to `max` bytes and
 * KEYSPOOL_BATCH keys, but at least one, unless there is none.  Returns an exit
 * code, as above.
 */
int keyspool_batch(struct keyspool *k, size_t max, struct buf *keys);

/* Drops the keys of the last batch. */
void keyspool_drop(struct keyspool *k);

/* Drops all keys, and the file. */
void keyspool_clear(struct keyspool *k);

/* The same, and frees the memory. */
void keyspool_release(struct keyspool *k);

#endif
