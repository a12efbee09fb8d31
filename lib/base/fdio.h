/*
 * Non-blocking output: bytes are queued, then written as far as the descriptor
 * accepts them.
 *
 *	queue:  | written already | to be written |
 *	                          ^ done          ^ b.len
 */
#ifndef FDIO_H
#define FDIO_H

#include <stdint.h>

#include "base/buf.h"

struct fdio_out {
	int fd;           /* -1 once closed */
	const char *name; /* for messages: "stdout" */
	struct buf b;     /* append here */
	size_t done;
	int flags; /* status flags to restore; -1: not changed */
};

/*
 * Takes over fd for writing.  Makes a pipe or socket non-blocking, which
 * fdio_out_close undoes, since other processes may share the status flags.
 * Enlarges a pipe to 1 MiB where the system permits it.  name is kept, not
 * copied.
 */
void fdio_out_init(struct fdio_out *o, int fd, const char *name);

static inline size_t
fdio_out_pending(const struct fdio_out *o)
{
	return o->b.len - o->done;
}

/*
 * Writes what the descriptor accepts now.  Returns an exit code: EXIT_IO if
 * write(2) failed (EPIPE, a full disk), EXIT_OS if memory for the queue ran
 * out.
 */
int fdio_out_flush(struct fdio_out *o);

/*
 * Writes the whole queue, waiting as needed.  After a stop request it gives up
 * with EXIT_RETRY when nothing could be written for grace_ms.
 */
int fdio_out_drain(struct fdio_out *o, int64_t grace_ms);

/*
 * Restores the flags, closes the descriptor and frees the queue, dropping what
 * is still pending.  Returns an exit code: EXIT_IO if close(2) failed.
 */
int fdio_out_close(struct fdio_out *o);

/*
 * Waits until fd has one of events (see poll(2)), a signal arrives, or
 * timeout_ms have passed (-1: no limit).  A stop that was requested before the
 * call does not end the wait.  Returns revents, 0 if none.
 */
short fdio_wait(int fd, short events, int64_t timeout_ms);

/* Sleeps for ms milliseconds, or until a stop is requested. */
void fdio_pause(int64_t ms);

#endif
