/*
 * Signals that poll(2) can wait for: each writes a byte to a pipe.  SIGTERM and
 * SIGINT ask the process to stop, SIGCHLD says that a child ended.  SIGPIPE is
 * ignored, so that writing to a pipe without a reader fails with EPIPE.
 */
#ifndef SIGNALS_H
#define SIGNALS_H

#include <stdbool.h>

/*
 * Installs the handlers and makes sure that descriptors 0 to 2 are open, so
 * that no file opened later becomes one of them.  Returns an exit code (see
 * exitcode.h).
 */
int signals_init(void);

/* Has SIGTERM or SIGINT arrived? */
bool signals_stop_requested(void);

/* A descriptor that is readable from a signal until signals_drain. */
int signals_fd(void);
void signals_drain(void);

/* For a child before exec: restores the default handlers and an empty mask. */
void signals_reset(void);

#endif
