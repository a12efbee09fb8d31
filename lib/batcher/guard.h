/*
 * A process that stands by while commands run: if we end in any way, kill -9
 * included, it kills the process group of the command that runs.  Until that is
 * gone it keeps a descriptor open, such as the connection that holds a lock for
 * us, so that nobody takes over before.
 *
 * It learns which group that is, and that we have ended, from a pipe.  It is a
 * session of its own, with no other descriptors, and costs a write a command.
 */
#ifndef GUARD_H
#define GUARD_H

#include <stdbool.h>
#include <sys/types.h>

struct guard {
	int fd; /* -1: none was started */
	pid_t pid;
};

/* Returns an exit code. */
int guard_start(struct guard *g, int keep_fd);

/*
 * In a child before exec, which is the leader of a group: from now on it is
 * guarded.  False: it must not run.
 */
bool guard_join(const struct guard *g);

/*
 * The group needs no guard any more: before its leader is reaped, after which
 * another may get its number.  EXIT_OS if the guard has gone.
 */
int guard_clear(const struct guard *g);

void guard_end(struct guard *g);

#endif
