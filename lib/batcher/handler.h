/*
 * A handler: a command that processes batches.  Here each batch is the standard
 * input of one run, and the exit status is the answer; serve.h has the command
 * that lives longer than a batch.
 */
#ifndef HANDLER_H
#define HANDLER_H

#include "batcher/child.h"
#include "batcher/prefetch.h"

enum handler_answer {
	HANDLER_PROCESSED,
	HANDLER_FAILED, /* a bad status, a signal, a time-out */
	HANDLER_LATER,  /* 75: not now, try again */
	HANDLER_CANNOT, /* 126, 127: it cannot be run at all */
};

struct handler {
	char *const *argv;  /* ends with NULL */
	int64_t timeout_ms; /* 0: none */
	bool keep_stderr;   /* fill stderr_tail */
	bool serve;         /* it lives longer than a batch: serve.h */
	struct guard guard; /* the caller starts and ends it */
};

struct handler_result {
	enum handler_answer answer;
	char status[40]; /* in words: "exit 1" */
	/* with keep_stderr: the last lines of its stderr, valid UTF-8 without
	 * NUL; reused from run to run, the caller releases it */
	struct buf stderr_tail;
};

/*
 * Runs the command once with the batch b of the queue q; p prefetches
 * meanwhile.  Its environment has PHILOTES_BATCH_SOURCE, _FIRST_ID, _LAST_ID
 * and _EVENTS.  It has processed the batch if it exits with 0 and has read
 * every byte.
 *
 * After timeout_ms, or some time after a stop was requested, its group gets
 * SIGTERM and then SIGKILL.
 *
 * Returns an exit code for our own failures.  *r is the command's answer; if it
 * failed, that has been logged.
 */
int handler_run(const struct handler *h, struct prefetch *p,
    const struct batch_queue *q, const struct batch *b, struct view source,
    struct handler_result *r);

/*
 * Sets answer and status of a command that has ended, and logs a failure.  One
 * that exited with 0 has failed if `undone` says what it has not done.
 */
void handler_judge(struct handler_result *r, const char *name,
    const struct child_end *end, const char *undone);

#endif
