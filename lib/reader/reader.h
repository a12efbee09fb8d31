/*
 * The reader: prints the changes of the source on stdout, and confirms to the
 * slot what was acknowledged.  One poll(2) loop over the socket, stdout, the
 * ack channel and timers, so that status updates go to the server whatever
 * blocks.  Memory depends on the largest row only.
 */
#ifndef READER_H
#define READER_H

#include <stdint.h>

#include "stream/tablelist.h"

struct reader_options {
	const char *conninfo;  /* NULL: libpq's own settings */
	const char *source_id; /* NULL: postgres-DATABASE */
	const char *slot;
	const char *publication;
	const struct table_list *tables; /* NULL: all published tables */
	const char *ack;                 /* path of the ack channel, or NULL */
	const char *failures;            /* path for repeat_count, or NULL */
	const char *until;      /* an LSN, "now" or "snapshot"; NULL: no end */
	bool messages;          /* print logical decoding messages too */
	bool safe_numbers;      /* see stream/safe_numbers.h */
	bool schema;            /* print schema lines even without ack */
	int64_t heartbeat;      /* ms between heartbeats; 0: none */
	int64_t snapshot_pause; /* ms: what a part of a snapshot may take */
	bool no_snapshot;
	const char *snapshot_key_file; /* of snapshot_key_read */
	uint64_t snapshot_workers;     /* connections, 1 to CHUNK_LANES */
	bool snapshot_lock;     /* lock a table without a key, if need be */
	int64_t server_timeout; /* the silence of liveness_start */
};

/* Runs until it is told to stop or an error occurs; returns an exit code. */
int reader_run(const struct reader_options *o);

#endif
