/*
 * A sign of life in the source's WAL: a logical decoding message every so
 * often, on a connection of its own, since that of the stream takes no
 * queries.  A slot of a database in which nothing happens thus moves on, and
 * what comes out at the other end says how old the stream is.
 *
 * The message is not transactional: it has no place in a transaction's
 * sequence, so a stream with heartbeats numbers its events as one without.
 */
#ifndef HEARTBEAT_H
#define HEARTBEAT_H

#include "pg/pg_connect.h"

/* Zero-initialise. */
struct heartbeat {
	struct pg pg;
	struct pg_target target;
	PGresult *answer; /* as far as it has come */
	int64_t every;    /* ms; 0: none is sent */
	int64_t limit;    /* for the server's answer; 0: none */
	int64_t at;       /* of the next one */
	int64_t sent;     /* of the one not answered yet; 0: none is */
};

/* Connects and sends the first one.  Returns an exit code. */
int heartbeat_open(
    struct heartbeat *h, const char *conninfo, int64_t every, int64_t limit);

/* The socket to wait for, -1 if there is none, and until when. */
int heartbeat_fd(const struct heartbeat *h);
int64_t heartbeat_due_at(const struct heartbeat *h);

/*
 * Reads what has arrived and sends what is due; never waits.  Returns an exit
 * code: EXIT_RETRY if the server has closed the connection, unless it is
 * shutting down: then there are no more heartbeats.
 */
int heartbeat_work(struct heartbeat *h);

void heartbeat_close(struct heartbeat *h);

/* Is this after_data of a MESSAGE that of a heartbeat, ours or another's? */
bool heartbeat_is(struct view after_data);

#endif
