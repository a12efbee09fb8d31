/*
 * A command that processes a batch: the batch is its standard input, its exit
 * status the answer.  Data goes through the pipe only, never through argv or a
 * shell.
 */
#ifndef HANDLER_H
#define HANDLER_H

#include "batch.h"

enum handler_answer {
	HANDLER_PROCESSED, /* exit 0, and every byte was read */
	HANDLER_FAILED,    /* any other status, a signal, a time-out */
	HANDLER_LATER,     /* 75: not now, ask again */
	HANDLER_CANNOT,    /* 126, 127: it cannot be run at all */
};

struct handler {
	char *const *argv;  /* ends with NULL */
	int64_t timeout_ms; /* 0: none */
};

/*
 * Runs the command once with the batch.  It finds PHILOTES_BATCH_SOURCE,
 * _FIRST_ID, _LAST_ID and _EVENTS in its environment, and no PHILOTES_*_URL or
 * PG* variable; signals at their defaults, no descriptor of ours, a process
 * group of its own.  After timeout_ms, or a while after a stop was asked for,
 * the group gets SIGTERM and then SIGKILL.  Returns an exit code for our own
 * failures; *answer is the command's, a failure of its having been logged.
 */
int handler_run(const struct handler *h, const struct batch *b,
    struct view source, enum handler_answer *answer);

#endif
