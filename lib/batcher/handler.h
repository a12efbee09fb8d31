/*
 * A command that processes a batch: the batch is its standard input, its exit
 * status the answer.  Data goes through the pipe only, never through argv or a
 * shell.
 */
#ifndef HANDLER_H
#define HANDLER_H

#include "batcher/guard.h"
#include "batcher/prefetch.h"

enum handler_answer {
	HANDLER_PROCESSED, /* exit 0, and every byte was read */
	HANDLER_FAILED,    /* any other status, a signal, a time-out */
	HANDLER_LATER,     /* 75: not now, ask again */
	HANDLER_CANNOT,    /* 126, 127: it cannot be run at all */
};

struct handler {
	char *const *argv;  /* ends with NULL */
	int64_t timeout_ms; /* 0: none */
	bool keep_stderr;   /* what it writes there is looked at */
	struct guard guard; /* started by the caller */
};

#define HANDLER_STDERR_MAX 2048

struct handler_result {
	enum handler_answer answer;
	char status[40]; /* in words: "exit 1" */
	/* of keep_stderr: the last lines, valid UTF-8 without NUL; kept from
	 * run to run, to be released */
	struct buf stderr_tail;
};

/*
 * Runs the command once with the batch, which is in the queue; a goes on
 * reading ahead meanwhile.  It finds PHILOTES_BATCH_SOURCE, _FIRST_ID, _LAST_ID
 * and _EVENTS in its environment, and no PHILOTES_*_URL or PG* variable;
 * signals at their defaults, no descriptor of ours, a process group of its own.
 * After timeout_ms, or a while after a stop was asked for, the group gets
 * SIGTERM and then SIGKILL; if we are killed it is killed too, and so is what a
 * command that failed has left in it.  Returns an exit code for our own
 * failures; *r is the command's answer, a failure of its having been logged.
 */
int handler_run(const struct handler *h, struct prefetch *a,
    const struct batch_queue *q, const struct batch *b, struct view source,
    struct handler_result *r);

#endif
