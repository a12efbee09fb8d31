/*
 * buffer-batch: delivers the events of the buffer in batches.  Sources take
 * turns; in its turn a source's batches are delivered while some are due.
 */
#ifndef BATCHER_H
#define BATCHER_H

#include "batcher/delivery.h"
#include "batcher/replay.h"

struct batcher_options {
	const char *conninfo; /* NULL: libpq's own */
	const char *consumer;
	const char *const *sources; /* these only */
	size_t nsources;            /* 0: all */
	bool latest;
	enum cursor_mode mode;
	struct replay replay; /* for CURSOR_REPLAY */
	struct batch_limits limits;
	int64_t flush_interval; /* ms an incomplete batch may wait */
	/* deliver what is there at the start, and end; implied by a mode other
	 * than CURSOR_CONSUME */
	bool once;
	bool safe_numbers;      /* see stream/safe_numbers.h */
	bool schema;            /* schema lines, which acks imply */
	const char *ack;        /* path of the channel; NULL: none */
	uint64_t window;        /* unacknowledged batches of a source */
	struct handler handler; /* argv NULL: batches go to stdout */
	uint64_t retries;
	bool dead_letters; /* park the events that fail too often */
	uint64_t max_letters;
};

/* Runs until a stop is requested or it fails; returns an exit code. */
int batcher_run(const struct batcher_options *o);

#endif
