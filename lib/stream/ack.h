/*
 * The producer's side of the ack channel (philotes-stream(5)).
 *
 * Each line of the channel is a position: that of a checkpoint that is durable
 * downstream now.  The window holds the checkpoints that were sent and are not
 * acknowledged yet; acknowledging one acknowledges all before it.
 */
#ifndef ACK_H
#define ACK_H

#include <stdint.h>

#include "base/line.h"

struct ack_channel {
	int fd; /* non-blocking; -1: not open */
	const char *name;
	struct line_reader lines;
	bool eof; /* its last writer has closed it */
};

/*
 * Opens the channel for reading.  path is a FIFO, whose writer is waited for (a
 * warning is logged after 5 s; SIGTERM ends the wait), or /dev/fd/N, the
 * inherited descriptor N itself.  path is kept, not copied.  Returns an exit
 * code: EXIT_CONFIG if it is not a FIFO, pipe or socket.
 */
int ack_channel_open(struct ack_channel *c, const char *path);

/* The same for a descriptor, which ack_channel_close closes; name is kept. */
int ack_channel_take(struct ack_channel *c, int fd, const char *name);

/*
 * Reads the next line, valid until the next call.  *position is a null view if
 * there is none now; at the end eof is set, too.  Returns an exit code.
 */
int ack_channel_next(struct ack_channel *c, struct view *position);

void ack_channel_close(struct ack_channel *c);

/* Logs that a position is not one that was sent; returns EXIT_PROTOCOL. */
int ack_refuse(
    const struct ack_channel *c, struct view position, const char *reason);

#define ACK_WINDOW 4096

/* The positions as numbers.  Zero-initialise. */
struct ack_window {
	uint64_t sent[ACK_WINDOW]; /* a ring, oldest first */
	size_t first;
	size_t n;
	uint64_t acked; /* the greatest one acknowledged so far */
};

/* True: no checkpoint may be sent until one is acknowledged. */
static inline bool
ack_full(const struct ack_window *w)
{
	return w->n == ACK_WINDOW;
}

/* A checkpoint was sent; the window must not be full. */
void ack_sent(struct ack_window *w, uint64_t position);

enum ack_status {
	ACK_NEW,     /* the *popped oldest checkpoints are acknowledged */
	ACK_OLD,     /* at or below one acknowledged before: ignore it */
	ACK_UNKNOWN, /* was not sent */
};

enum ack_status ack_received(
    struct ack_window *w, uint64_t position, size_t *popped);

#endif
