/*
 * The source's WAL: a walsender connection, from START_REPLICATION to its end
 * (PostgreSQL manual, "Streaming Replication Protocol").
 */
#ifndef WALSENDER_H
#define WALSENDER_H

#include "pg/pg.h"
#include "stream/tablelist.h"

/* Zero-initialise. */
struct walsender {
	struct pg pg;
	/* from walsender_start on; the caller's */
	const char *slot;
	const char *publication;
	bool unpublished; /* the server goes on without the publication */
	/* how the stream failed: an SQLSTATE, or "lost"; "": it did not, or for
	 * a reason that has nothing to do with what is in it */
	char failure[8];
	char *message; /* libpq's, of the last walsender_next */
	bool unsent;   /* feedback is waiting for the socket */
};

/* Where a server is. */
struct walsender_system {
	struct buf system_id;
	uint32_t timeline;
	uint64_t flush;     /* end of the WAL on its disk */
	struct buf history; /* as struct stream_start has it */
	int64_t timeout_ms; /* wal_sender_timeout; 0: none */
};

/* Connects and pins the settings that values are written under. */
int walsender_open(struct walsender *s, const char *conninfo);
void walsender_close(struct walsender *s);

int walsender_identify(struct walsender *s, struct walsender_system *sys);
void walsender_system_release(struct walsender_system *sys);

/*
 * The published tables, by schema and name, that are neither in the list nor
 * descend from one in it: what is to be left out.  A partition that is made
 * later is thus not.  EXIT_CONFIG if a name of the list is not published.
 */
int walsender_left_out(struct walsender *s, const char *publication,
    const struct table_list *tables, PGresult **res);

/* Starts streaming at the slot's own position. */
int walsender_start(struct walsender *s, const char *slot,
    const char *publication, uint64_t lsn);

/*
 * Does a notice of the server say that it decodes without the publication?
 * Since version 18 it is only warned of a publication that does not exist at
 * that point of the WAL, and all of it is left out; before that was an error,
 * 42704.
 */
bool walsender_skips(const PGresult *notice, const char *publication);

enum walsender_kind {
	WALSENDER_DRY,       /* nothing more has arrived */
	WALSENDER_DATA,      /* a message of the output plugin */
	WALSENDER_KEEPALIVE, /* the server has nothing, up to lsn */
};

struct walsender_message {
	enum walsender_kind kind;
	uint64_t lsn;      /* of the data; or the server's position */
	int64_t time;      /* of sending the data; see clock.h */
	struct view data;  /* valid until the next call */
	bool reply_wanted; /* the server asks for a status */
};

/*
 * The next message that has arrived; never waits.  Returns an exit code: the
 * end of the stream is EXIT_RETRY, a change that the server cannot decode or
 * send EXIT_OPERATOR, one that it decoded without the publication EXIT_CONFIG.
 */
int walsender_next(struct walsender *s, struct walsender_message *m);

/*
 * Tells the server what was received and what is durable downstream (0:
 * nothing to say of it), and asks for a keepalive in return if it is to
 * answer.  The socket may not take it all now: unsent.
 */
int walsender_feedback(
    struct walsender *s, uint64_t received, uint64_t durable, bool answer);

/* Goes on with what is unsent. */
int walsender_flush(struct walsender *s);

/* Says goodbye: CopyDone, after the feedback. */
int walsender_end(struct walsender *s);

#endif
