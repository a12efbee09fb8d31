/*
 *	file, memory	= line*
 *	line		= key LF
 */
#include "reader/keyspool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/exitcode.h"
#include "base/log.h"

static int
failed(struct keyspool *k, const char *doing)
{
	int rc = errno == ENOMEM ? EXIT_OS : EXIT_IO;
	const char *path = buf_str(&k->path);

	log_error("could not %s the temporary file \"%s\": %s", doing,
	    path != NULL ? path : "", strerror(errno));
	if (rc == EXIT_IO)
		log_hint("It holds keys of rows that a snapshot reads again.  "
			 "TMPDIR names the directory of such files.");
	return rc;
}

static int
no_memory(void)
{
	log_error("could not keep a key of a snapshot: out of memory");
	return EXIT_OS;
}

/* The file */

static int
make_file(struct keyspool *k)
{
	const char *dir = getenv("TMPDIR");

	buf_clear(&k->path);
	buf_addf(&k->path, "%s/philotes-keys.XXXXXX",
	    dir != NULL && *dir != '\0' ? dir : "/tmp");
	if (buf_str(&k->path) == NULL)
		return no_memory();
	k->fd = mkstemp(k->path.data);
	if (k->fd < 0)
		return failed(k, "create");
	k->spilled = true;
	k->written = k->read = 0;
	if (unlink(k->path.data) != 0 || fcntl(k->fd, F_SETFD, FD_CLOEXEC) != 0)
		return failed(k, "create");
	return EXIT_DONE;
}

static void
close_file(struct keyspool *k)
{
	if (k->spilled)
		close(k->fd);
	k->spilled = false;
	k->written = k->read = 0;
}

/* Moves all keys from memory behind those of the file. */
static int
spill(struct keyspool *k)
{
	int rc = k->spilled ? EXIT_DONE : make_file(k);

	while (rc == EXIT_DONE && k->first < k->memory.len) {
		ssize_t n = pwrite(k->fd, k->memory.data + k->first,
		    k->memory.len - k->first, (off_t)k->written);

		if (n < 0 && errno != EINTR)
			return failed(k, "write");
		k->first += n > 0 ? (size_t)n : 0;
		k->written += n > 0 ? (uint64_t)n : 0;
	}
	if (rc == EXIT_DONE) {
		buf_clear(&k->memory);
		k->first = k->last = 0;
	}
	return rc;
}

/* Reads the next n bytes of the file into an empty buf. */
static int
read_file(struct keyspool *k, size_t n, struct buf *to)
{
	if (buf_reserve(to, n) == NULL)
		return no_memory();
	while (to->len < n) {
		ssize_t got = pread(k->fd, to->data + to->len, n - to->len,
		    (off_t)(k->read + to->len));

		if (got == 0)
			errno = EIO;
		if (got == 0 || (got < 0 && errno != EINTR))
			return failed(k, "read");
		to->len += got > 0 ? (size_t)got : 0;
	}
	return EXIT_DONE;
}

/* Keys */

static bool
is_newest(const struct keyspool *k, struct view key)
{
	struct view v;

	/* one of the last batch may have been read already */
	if (k->count <= k->batch_keys || k->first == k->memory.len)
		return false;
	v = (struct view){
	    k->memory.data + k->last, k->memory.len - k->last - 1};
	return view_eq(v, key);
}

static bool
is_full(const struct keyspool *k, struct view key)
{
	return k->memory.len + key.n + 1 > KEYSPOOL_MEMORY;
}

int
keyspool_add(struct keyspool *k, struct view key)
{
	int rc = EXIT_DONE;

	if (is_newest(k, key))
		return EXIT_DONE;
	if (is_full(k, key) && k->first > 0) {
		buf_consume(&k->memory, k->first);
		k->first = 0;
	}
	if (is_full(k, key) && k->memory.len > 0)
		rc = spill(k);
	if (rc != EXIT_DONE)
		return rc;
	k->last = k->memory.len;
	buf_addv(&k->memory, key);
	buf_addc(&k->memory, '\n');
	k->count++;
	return k->memory.failed ? no_memory() : EXIT_DONE;
}

/* The length of the whole lines among these bytes, as many as a batch may
 * have. */
static size_t
whole_lines(struct keyspool *k, const char *p, size_t n)
{
	const char *at = p, *newline;

	for (k->batch_keys = 0; k->batch_keys < KEYSPOOL_BATCH;
	     k->batch_keys++) {
		newline = memchr(at, '\n', n - (size_t)(at - p));
		if (newline == NULL)
			break;
		at = newline + 1;
	}
	return k->batch_bytes = (size_t)(at - p);
}

static int
take_bytes(struct keyspool *k, size_t n, struct buf *keys)
{
	buf_clear(keys);
	if (k->read < k->written)
		return read_file(k, n, keys);
	buf_add(keys, k->memory.data + k->first, n);
	return keys->failed ? no_memory() : EXIT_DONE;
}

int
keyspool_batch(struct keyspool *k, size_t max, struct buf *keys)
{
	uint64_t all = k->read < k->written ? k->written - k->read
					    : k->memory.len - k->first;
	size_t n = max > 0 ? max : 1;
	int rc;

	k->batch_keys = k->batch_bytes = 0;
	buf_clear(keys);
	if (all == 0)
		return EXIT_DONE;
	/* once more with more bytes if the first key is longer */
	do {
		n = n < all ? n : (size_t)all;
		rc = take_bytes(k, n, keys);
		n *= 2;
	} while (rc == EXIT_DONE && whole_lines(k, keys->data, keys->len) == 0);
	if (rc != EXIT_DONE)
		return rc;
	keys->len = k->batch_bytes - 1;
	for (size_t i = 0; i < keys->len; i++)
		if (keys->data[i] == '\n')
			keys->data[i] = ',';
	return EXIT_DONE;
}

/* The keys of the batch are the oldest even if they were in memory and have been
 * moved to the file since. */
void
keyspool_drop(struct keyspool *k)
{
	k->count -= k->batch_keys;
	if (k->read < k->written)
		k->read += k->batch_bytes;
	else
		k->first += k->batch_bytes;
	k->batch_keys = k->batch_bytes = 0;
	if (k->read == k->written)
		close_file(k);
	if (k->first == k->memory.len) {
		buf_clear(&k->memory);
		k->first = k->last = 0;
	}
}

void
keyspool_clear(struct keyspool *k)
{
	close_file(k);
	buf_clear(&k->memory);
	k->first = k->last = 0;
	k->count = 0;
	k->batch_keys = k->batch_bytes = 0;
}

void
keyspool_release(struct keyspool *k)
{
	keyspool_clear(k);
	buf_release(&k->memory);
	buf_release(&k->path);
	*k = (struct keyspool){0};
}
