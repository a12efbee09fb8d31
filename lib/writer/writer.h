/*
 * The work of buffer-write: stores the events on stdin in the buffer, each of
 * them once, and prints the ack of each checkpoint that is on the buffer's
 * disk.
 *
 * A stream with control lines is stored in whole transactions.  Without control
 * lines each event is complete by itself.  A commit happens at such a boundary,
 * when stdin has nothing to read or a limit is reached.  A line that cannot be
 * accepted ends the run, or is written to a file, which is synced before any
 * later line is committed.
 */
#ifndef WRITER_H
#define WRITER_H

#include <stdbool.h>
#include <stdint.h>

struct writer_options {
	const char *conninfo;   /* NULL: libpq's own */
	uint64_t batch_size;    /* rows after which a boundary commits */
	int64_t flush_interval; /* ms after which a boundary commits */
	uint64_t max_line;      /* bytes */
	const char *rejects;    /* file for bad lines; NULL: they end the run */
	bool accept_gap;
};

/* Runs until stdin ends or a stop is requested; returns an exit code. */
int writer_run(const struct writer_options *o);

#endif
