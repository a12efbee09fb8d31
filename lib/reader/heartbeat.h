/*
 * Heartbeats: writes a logical decoding message to the source's WAL at an
 * interval, so that the slot of an idle database moves on.  They go over a
 * connection of their own, since that of the stream takes no queries.
 *
 * The messages are non-transactional: they are not counted in the seq of any
 * transaction, so heartbeats do not change the numbers of events.
 */
#ifndef HEARTBEAT_H
#define HEARTBEAT_H

#include "pg/pg.h"

/* Zero-initialise. */
struct heartbeat {
	struct pg pg;
	const char *conninfo; /* the caller's */
	PGresult *answer;     /* to the last heartbeat; may be incomplete */
	int64_t every;        /* ms; 0: no heartbeats */
	int64_t limit;        /* ms for the server's answer; 0: none */
	int64_t at;           /* when the next one is due */
	int64_t sent; /* when the unanswered one was sent; 0: there is none */
};

/* Connects and sends the first heartbeat, waiting for the answer.  Returns an
 * exit code. */
int heartbeat_open(
    struct heartbeat *h, const char *conninfo, int64_t every, int64_t limit);

/* The socket to poll, -1 if there is none, and until when. */
int heartbeat_fd(const struct heartbeat *h);
int64_t heartbeat_due_at(const struct heartbeat *h);

/*
 * Reads the answer as far as it has arrived, and sends a heartbeat if one is
 * due; never waits.  Returns an exit code: EXIT_RETRY if the server does not
 * answer in time or closed the connection.  If it closed the connection because
 * it shuts down, heartbeats end and the result is EXIT_DONE.
 */
int heartbeat_work(struct heartbeat *h);

void heartbeat_close(struct heartbeat *h);

/* Is this the after_data of a heartbeat's MESSAGE, whoever wrote it? */
bool heartbeat_is(struct view after_data);

#endif
