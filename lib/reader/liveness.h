/*
 * Timers of the replication connection: when to send feedback to the server,
 * when to ask it for a reply, when its silence means that it is dead; and
 * whether its requests are those of a server that shuts down.
 *
 * Nothing here reads a clock: `now` is clock_ms, so that time can be tested.
 */
#ifndef LIVENESS_H
#define LIVENESS_H

#include <stdbool.h>
#include <stdint.h>

/* while the server shuts down: the longest time without progress */
#define LIVENESS_STALL_MS 3000

struct liveness {
	int64_t report_every;
	int64_t silence; /* limit of the server's silence; 0: none */

	int64_t reported_at;
	uint64_t reported; /* `durable` of the last report */
	bool reply_wanted; /* the server waits for a report */

	int64_t heard_at; /* when the server was last heard of */
	int64_t asked_at; /* when it was asked, if not heard of since; or 0 */

	int64_t request_at; /* when the server last asked */
	int64_t burst_at;   /* start of the burst, or last progress in it */
	int burst;          /* requests in the burst */
};

/*
 * sender_timeout is the server's wal_sender_timeout, after which it drops us;
 * 0: never.  silence is the limit of the server's silence; 0: none; -1: 60 s,
 * or sender_timeout if that is longer, because a server that decodes a large
 * transaction without published changes may answer only after half of it.
 */
void liveness_start(
    struct liveness *l, int64_t now, int64_t sender_timeout, int64_t silence);

/* Something arrived; or the reader does not listen, so that silence does not
 * count. */
void liveness_hear(struct liveness *l, int64_t now);

/* The server asks for a report.  True: for at least the third time in a burst,
 * which shows that it shuts down and waits until everything is confirmed. */
bool liveness_request(struct liveness *l, int64_t now);

/* `durable` has moved. */
void liveness_progress(struct liveness *l, int64_t now);

/* Has a stopping server waited too long without progress? */
bool liveness_stalled(const struct liveness *l, int64_t now);

/* When the next report is due. */
int64_t liveness_report_at(const struct liveness *l, uint64_t durable);

/* Must a report now ask for a reply? */
bool liveness_asks(const struct liveness *l, int64_t now);

/* Records that a report was sent. */
void liveness_reported(
    struct liveness *l, int64_t now, uint64_t durable, bool asks);

/* When the server counts as dead; INT64_MAX unless it was asked. */
int64_t liveness_dead_at(const struct liveness *l);

#endif
