/*
 * The stream of a logical replication slot: the client of a walsender, from
 * START_REPLICATION to CopyDone (PostgreSQL manual, "Streaming Replication
 * Protocol").
 */
#ifndef WALSENDER_H
#define WALSENDER_H

#include "pg/pg.h"

/* Zero-initialise. */
struct walsender {
	struct pg pg;
	/* set by walsender_start; the caller's */
	const char *slot;
	const char *publication;
	bool unpublished; /* the server decodes without the publication */
	/* how the stream failed: an SQLSTATE, "lost" (the connection) or
	 * "silent"; "" if it did not, or if no change can be the cause */
	char failure[8];
	char *message; /* libpq's, of the last walsender_next */
	bool unsent;   /* feedback waits until the socket takes it */
};

/* Connects, as source_connect_walsender; walsender_close is always needed. */
int walsender_open(struct walsender *s, const char *conninfo);
void walsender_close(struct walsender *s);

/*
 * Starts the stream at lsn, the slot's confirmed_flush_lsn.  EXIT_OPERATOR if
 * the slot was invalidated.
 */
int walsender_start(struct walsender *s, const char *slot,
    const char *publication, uint64_t lsn);

/*
 * Does a notice say that the server decodes without the publication?  If the
 * publication does not exist at that position of the WAL, servers before
 * version 18 raise the error 42704; later ones warn and send nothing of it.
 */
bool walsender_skips(const PGresult *notice, const char *publication);

enum walsender_kind {
	WALSENDER_DRY,       /* nothing more has arrived */
	WALSENDER_DATA,      /* a message of the output plugin */
	WALSENDER_KEEPALIVE, /* there is nothing to send up to lsn */
};

struct walsender_message {
	enum walsender_kind kind;
	uint64_t lsn;      /* of the data, or how far the WAL was sent */
	int64_t time;      /* when the data was sent; see clock.h */
	struct view data;  /* valid until the next call */
	bool reply_wanted; /* the server asks for feedback at once */
};

/*
 * The next message that has arrived; never waits.  Returns an exit code:
 * EXIT_RETRY at the end of the stream, EXIT_OPERATOR for a change that the
 * server cannot decode or send, EXIT_CONFIG if the server decodes without the
 * publication.
 */
int walsender_next(struct walsender *s, struct walsender_message *m);

/*
 * Sends the standby status: what was received and what is durable downstream
 * (0: confirms nothing).  With `answer` it asks for a keepalive in return.  If
 * the socket does not take all of it now, `unsent` is set.
 */
int walsender_feedback(
    struct walsender *s, uint64_t received, uint64_t durable, bool answer);

/* Sends what is unsent, as far as the socket takes it. */
int walsender_flush(struct walsender *s);

/* Ends the stream with CopyDone, and waits for the server's end of it for
 * STOP_GRACE_MS at most. */
int walsender_end(struct walsender *s);

#endif
