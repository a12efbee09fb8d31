/*
 * Acknowledgement: the producer's side of the ack channel.
 *
 * A channel brings one mark a line: a position that a checkpoint carried and
 * that is durable downstream now.  The window knows which checkpoints were
 * sent and not acknowledged yet; acknowledging one acknowledges all before it.
 */
#ifndef ACK_H
#define ACK_H

#include <stdint.h>

#include "base/line.h"

struct ack_channel {
	int fd; /* non-blocking; -1: not open */
	const char *name;
	struct line_reader lines;
	bool eof; /* its last writer has gone */
};

/*
 * Opens the channel for reading: a FIFO, which waits for its writer (a line on
 * stderr says so after 5 s; SIGTERM ends it), or /dev/fd/N, which is the
 * inherited descriptor N itself.  path is kept, not copied.  Returns an exit
 * code: EXIT_CONFIG if it is not a FIFO, pipe or socket.
 */
int ack_channel_open(struct ack_channel *c, const char *path);

/*
 * The next line, valid until the next call; a null view if there is none now,
 * eof being set at the end.  Returns an exit code.
 */
int ack_channel_next(struct ack_channel *c, struct view *mark);

void ack_channel_close(struct ack_channel *c);

/* Logs that mark is not one that was sent; returns EXIT_PROTOCOL. */
int ack_refuse(
    const struct ack_channel *c, struct view mark, const char *reason);

#define ACK_WINDOW 4096

/* Zero-initialise. */
struct ack_window {
	uint64_t sent[ACK_WINDOW]; /* a ring, oldest first */
	size_t first;
	size_t n;
	uint64_t acked; /* the greatest ever acknowledged */
};

/* True: no checkpoint may be sent until one has been acknowledged. */
static inline bool
ack_full(const struct ack_window *w)
{
	return w->n == ACK_WINDOW;
}

/* There must be room. */
void ack_sent(struct ack_window *w, uint64_t mark);

enum ack_status {
	ACK_NEW,     /* *popped checkpoints, from the oldest on, are done */
	ACK_OLD,     /* at or below one acknowledged before: ignore it */
	ACK_UNKNOWN, /* none that was sent */
};

enum ack_status ack_received(
    struct ack_window *w, uint64_t mark, size_t *popped);

#endif
