/*
 * buffer-batch's work: batches of a consumer to stdout or to a handler, and
 * the record of what was processed.
 */
#ifndef BATCHER_H
#define BATCHER_H

#include "handler.h"

struct batcher_options {
	const char *conninfo; /* NULL: libpq's own */
	const char *consumer;
	const char *const *sources; /* these only */
	size_t nsources;            /* 0: all */
	bool latest;
	uint64_t batch_size; /* events */
	uint64_t max_bytes;
	int64_t flush_interval; /* ms an incomplete batch may wait */
	bool once;
	const char *ack;        /* path of the channel; NULL: none */
	struct handler handler; /* argv NULL: batches go to stdout */
	uint64_t retries;
};

/* Runs until it is told to stop or fails; returns an exit code. */
int batcher_run(const struct batcher_options *o);

#endif
