/*
 * Signals as something poll(2) can wait for.  SIGTERM and SIGINT ask the
 * process to stop, SIGCHLD says that a child ended; a byte in a pipe tells.
 * SIGPIPE is ignored: a write to nobody is an ordinary error.
 */
#ifndef STOP_H
#define STOP_H

#include <stdbool.h>

/*
 * Installs the handlers and sees to it that descriptors 0 to 2 are open, so
 * that nothing opened later is taken for one of them.  Returns an exit code
 * (see exitcode.h).
 */
int stop_init(void);

/* Has SIGTERM or SIGINT arrived? */
bool stop_requested(void);

/* Readable after a signal until stop_drain. */
int stop_fd(void);
void stop_drain(void);

/* In a child before exec: default handlers, empty mask. */
void stop_reset_signals(void);

#endif
