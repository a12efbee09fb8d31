/*
 * Signals as something poll(2) can wait for.  SIGTERM and SIGINT ask the
 * process to stop, SIGCHLD says that a child ended; a byte in a pipe tells.
 * SIGPIPE is ignored: a write to nobody is an ordinary error.
 */
#ifndef SIGNALS_H
#define SIGNALS_H

#include <stdbool.h>

/*
 * Installs the handlers and sees to it that descriptors 0 to 2 are open, so
 * that nothing opened later is taken for one of them.  Returns an exit code
 * (see exitcode.h).
 */
int signals_init(void);

/* Has SIGTERM or SIGINT arrived? */
bool signals_stop_requested(void);

/* Readable after a signal until signals_drain. */
int signals_fd(void);
void signals_drain(void);

/* In a child before exec: default handlers, empty mask. */
void signals_reset(void);

#endif
