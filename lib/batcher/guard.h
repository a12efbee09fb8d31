/*
 * The guard: a process that kills a running handler's process group if we end
 * in any way, kill -9 included.  It keeps a descriptor open until the group is
 * gone.  That is the connection whose session holds our locks, so no other
 * process takes a source over before the handler is dead.
 *
 * A pipe tells the guard which group it is, and that we have ended.  It runs in
 * a session of its own, with no other descriptors, and costs one write per
 * run of the handler.
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
 * Call it in the child before exec, when it leads a group: from now on the
 * group is guarded.  False: do not exec.
 */
bool guard_join(const struct guard *g);

/*
 * Ends the guarding of the group.  Call it before the leader is reaped: after
 * that, another group may get the number.  EXIT_OS if the guard is gone.
 */
int guard_clear(const struct guard *g);

void guard_end(struct guard *g);

#endif
