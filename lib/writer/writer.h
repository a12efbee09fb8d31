/*
 * buffer-write's work: lines from stdin into the buffer, exactly once, and
 * back on stdout one line for each checkpoint that has become durable.
 *
 * A stream with control lines is stored in whole transactions only; without
 * them each event stands for itself.  A commit happens at a boundary, as soon
 * as stdin has nothing more to give or a limit is reached.  A line that cannot
 * be accepted ends the run, or goes to a file that is on disk before anything
 * behind that line is committed.
 */
#ifndef WRITER_H
#define WRITER_H

#include <stdbool.h>
#include <stdint.h>

struct writer_options {
	const char *conninfo;   /* NULL: libpq's own */
	uint64_t batch_size;    /* rows after which a boundary commits */
	int64_t flush_interval; /* ms after which it does */
	uint64_t max_line;      /* bytes */
	const char *rejects;    /* file of bad lines; NULL: they end it */
	bool accept_gap;
};

/* Runs to the end of stdin or until told to stop; returns an exit code. */
int writer_run(const struct writer_options *o);

#endif
