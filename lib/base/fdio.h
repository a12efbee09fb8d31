/*
 * Output that never blocks behind the caller's back: bytes are queued, and
 * written as far as the descriptor takes them.
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
	int flags; /* of the open file, to be put back; -1: not changed */
};

/*
 * Takes fd over for writing.  A pipe or socket is made non-blocking until
 * fdio_out_close, since its status flags belong to everyone who shares it, and
 * a pipe is widened to 1 MiB where the system lets us.
 */
void fdio_out_init(struct fdio_out *o, int fd, const char *name);

static inline size_t
fdio_out_pending(const struct fdio_out *o)
{
	return o->b.len - o->done;
}

/*
 * Writes what the descriptor takes now.  Returns an exit code: EXIT_IO if it
 * takes no more for ever (EPIPE, a full disk), EXIT_OS if the queue could not
 * grow.
 */
int fdio_out_flush(struct fdio_out *o);

/*
 * Writes all that is queued, waiting as needed.  Gives up with EXIT_RETRY when
 * a stop is requested and nothing moves for grace_ms.
 */
int fdio_out_drain(struct fdio_out *o, int64_t grace_ms);

/*
 * Puts the flags back, closes the descriptor, frees the queue; what is still
 * pending is dropped.  Returns an exit code: an error of close(2) is one of
 * writing.
 */
int fdio_out_close(struct fdio_out *o);

/*
 * Waits until fd has one of events (see poll(2)), a signal arrives, or
 * timeout_ms have passed (-1: no limit); a stop that was requested before does
 * not end it.  Returns revents, 0 if none.
 */
short fdio_wait(int fd, short events, int64_t timeout_ms);

/* Does nothing for so long, or until a stop is requested. */
void fdio_pause(int64_t ms);

#endif
