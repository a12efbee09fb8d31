/*
 * pg-cdc-read's work: the source's changes to stdout, and back the
 * confirmation of what is durable.  One poll(2) loop over the socket, stdout,
 * the ack channel and timers, so that the server hears from us whatever
 * blocks.  Memory is that of the largest row.
 */
#ifndef READER_H
#define READER_H

#include <stdint.h>

#include "stream/tablelist.h"

struct reader_options {
	const char *conninfo;  /* NULL: libpq's own */
	const char *source_id; /* NULL: postgres-DATABASE */
	const char *slot;
	const char *publication;
	const struct table_list *tables; /* NULL: all that are published */
	const char *ack;                 /* path of the channel; NULL: none */
	const char *failures; /* file of the last one; NULL: none is kept */
	const char *until;    /* an LSN or "now"; NULL: go on for ever */
	bool messages;
	int64_t heartbeat;      /* ms between heartbeats; 0: none */
	int64_t server_timeout; /* as liveness_start has silence */
};

/* Runs until it is told to stop or fails; returns an exit code. */
int reader_run(const struct reader_options *o);

#endif
