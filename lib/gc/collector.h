/*
 * The work of buffer-gc: removes the events that every registered consumer has
 * processed longer ago than the retention.  Partitions that only hold such
 * events are dropped; from the oldest one that stays, events are deleted in
 * chunks.  Unprocessed events are never removed.
 */
#ifndef COLLECTOR_H
#define COLLECTOR_H

#include <stdbool.h>
#include <stdint.h>

struct collector_options {
	const char *conninfo; /* NULL: libpq's own */
	int64_t retention;    /* ms, by the server's clock */
	int64_t interval;     /* ms between runs; 0: one run */
	bool dry_run;
};

/* Returns an exit code. */
int collector_run(const struct collector_options *o);

#endif
