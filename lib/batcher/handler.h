/*
 * A handler: a command that processes batches.  Each batch is the standard
 * input of one run, and the exit status is the answer.  Events reach the
 * command through the pipe alone, never through arguments or a shell.
 */
#ifndef HANDLER_H
#define HANDLER_H

#include "batcher/guard.h"
#include "batcher/prefetch.h"

enum handler_answer {
	HANDLER_PROCESSED, /* exit 0, and every byte was read */
	HANDLER_FAILED,    /* any other status, a signal, a time-out */
	HANDLER_LATER,     /* 75: not now, try again */
	HANDLER_CANNOT,    /* 126, 127: it cannot be run at all */
};

struct handler {
	char *const *argv;  /* ends with NULL */
	int64_t timeout_ms; /* 0: none */
	bool keep_stderr;   /* fill stderr_tail */
	struct guard guard; /* the caller starts and ends it */
};

#define HANDLER_STDERR_MAX 2048

struct handler_result {
	enum handler_answer answer;
	char status[40]; /* in words: "exit 1" */
	/* with keep_stderr: the last lines of its stderr, valid UTF-8 without
	 * NUL; reused from run to run, the caller releases it */
	struct buf stderr_tail;
};

/*
 * Runs the command once with the batch b of the queue q; p prefetches
 * meanwhile.
 *
 * The command's environment has PHILOTES_BATCH_SOURCE, _FIRST_ID, _LAST_ID and
 * _EVENTS, and no PHILOTES_*_URL or PG* variable.  It has default signal
 * handlers, of our descriptors only stdout and stderr, and a process group of
 * its own.
 *
 * After timeout_ms, or some time after a stop was requested, the group gets
 * SIGTERM and then SIGKILL.  If we are killed, the guard kills the group.  If
 * the command fails, the processes that it has left in the group are killed.
 *
 * Returns an exit code for our own failures.  *r is the command's answer; if it
 * failed, that has been logged.
 */
int handler_run(const struct handler *h, struct prefetch *p,
    const struct batch_queue *q, const struct batch *b, struct view source,
    struct handler_result *r);

#endif
