/*
 * The seal of the messages in snapshot_message.h.  Everybody who may call
 * pg_logical_emit_message can write such a message.  With a key, each that we
 * write begins with a code that only a holder of the key can make, and others
 * are ignored:
 *
 *	sealed	= { mac member… }
 *	mac	64 lower-case hex digits: HMAC-SHA256 (RFC 2104) of the message
 *		as it was before, { member… }
 *
 * A seal says who wrote a message, not when.  Who can read the WAL can write an
 * old message once more.
 */
#ifndef SNAPSHOT_SEAL_H
#define SNAPSHOT_SEAL_H

#include "base/buf.h"

#define SNAPSHOT_KEY_MIN 16
#define SNAPSHOT_KEY_MAX 4096

/* Zero-initialise: no key. */
struct snapshot_key {
	struct buf secret;
};

/*
 * Reads the key from a file, without the newline at its end; path NULL: no key.
 * Returns an exit code: EXIT_CONFIG if the file cannot be read, if others may
 * read it, or if it is too short or too long.
 */
int snapshot_key_read(struct snapshot_key *k, const char *path);

void snapshot_key_release(struct snapshot_key *k);

static inline bool
snapshot_key_given(const struct snapshot_key *k)
{
	return k->secret.len > 0;
}

/* Seals a message; nothing without a key. */
void snapshot_seal(const struct snapshot_key *k, struct buf *content);

/* Was it sealed with this key?  True without a key. */
bool snapshot_sealed(const struct snapshot_key *k, struct view content);

#endif
