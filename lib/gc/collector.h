/*
 * buffer-gc's work: lets go what every registered consumer processed longer
 * ago than the retention.  Whole partitions are dropped; of the oldest that
 * stays, events are deleted in chunks.  Nothing unprocessed is ever touched.
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
