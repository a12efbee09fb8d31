/*
 * A child: a command that gets batches on its standard input.  Events reach it
 * through the pipe alone, never through arguments or a shell.
 *
 * Its environment has no PHILOTES_*_URL or PG* variable.  It has default signal
 * handlers, of our descriptors only stdout and stderr, and a process group of
 * its own.  If we are killed, the guard kills the group.
 */
#ifndef CHILD_H
#define CHILD_H

#include "base/fdio.h"
#include "batcher/guard.h"

#define CHILD_STDERR_MAX 2048

/* Zero-initialise, then set the members from `argv` to `answers`. */
struct child {
	char *const *argv;         /* ends with NULL */
	const struct guard *guard; /* which runs */
	bool keep_stderr;          /* fill tail */
	bool answers;              /* its stdout is `out`; else it has ours */

	pid_t pid;          /* 0: none runs */
	struct fdio_out in; /* to its stdin */
	int out;            /* of its stdout, for the caller to close */
	struct buf tail;    /* the last CHILD_STDERR_MAX bytes of its stderr */

	/* private */
	int unread; /* a copy of its stdin: counts the unread bytes */
	int err;    /* of its stderr; -1: it has ours */
	int killed; /* the last signal we sent */
	int64_t kill_at;
};

/* How a child ended. */
struct child_end {
	int code;    /* the exit status; of a signal its number, negative */
	bool killed; /* by us */
};

/*
 * Starts the command.  prepare(arg) is called in the child, to change the
 * environment further.  Returns an exit code.
 */
int child_start(
    struct child *c, void (*prepare)(const void *arg), const void *arg);

/* Has it read all that was written to it? */
bool child_has_read(const struct child *c);

/* Copies what has arrived of its stderr to ours, and keeps the end of it. */
void child_listen(struct child *c);

/* The descriptor to poll for child_listen, -1: none. */
static inline int
child_err(const struct child *c)
{
	return c->pid != 0 ? c->err : -1;
}

/* Has it ended?  SIGCHLD wakes prefetch_wait then. */
bool child_ended(const struct child *c, struct child_end *end);

/*
 * After child_ended: takes its status and closes its input.  Unless `good`,
 * kills what it has left in its group, so that nothing runs beside the next
 * attempt.
 */
void child_reap(struct child *c, bool good);

/*
 * Sends SIGTERM to its group; later calls send SIGKILL some time after the
 * first.  child_kill_at is when to call it again.
 */
void child_kill(struct child *c);

static inline int64_t
child_kill_at(const struct child *c)
{
	return c->killed != 0 ? c->kill_at : INT64_MAX;
}

/* Cuts tail to whole lines, and replaces what is not valid text. */
void child_tidy(struct child *c);

/* Frees memory. */
void child_release(struct child *c);

#endif
