/*
 * buffer-batch's work: sources take turns, and in its turn a source's batches
 * are delivered as long as some are due.
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
	struct replay replay; /* of CURSOR_REPLAY */
	struct batch_limits limits;
	int64_t flush_interval; /* ms an incomplete batch may wait */
	bool once;              /* what is there at the start; implied by a mode
				 * that is not CURSOR_CONSUME */
	const char *ack;        /* path of the channel; NULL: none */
	struct handler handler; /* argv NULL: batches go to stdout */
	uint64_t retries;
	bool dead_letters; /* what fails for good becomes one */
	uint64_t max_letters;
};

/* Runs until it is told to stop or fails; returns an exit code. */
int batcher_run(const struct batcher_options *o);

#endif
