/*
 * What the server and we know of each other: when we report to it, when we ask
 * it for a sign of life and when its silence means that it is gone; and
 * whether it asks as a server does that shuts down.
 *
 * Nothing here reads a clock: `now` is clock_ms, so that time can be tested.
 */
#ifndef LIVENESS_H
#define LIVENESS_H

#include <stdbool.h>
#include <stdint.h>

#define LIVENESS_STALL_MS 3000 /* for a stopping server, at most */

struct liveness {
	int64_t report_every;
	int64_t silence; /* that is put up with; 0: any */

	int64_t reported_at;
	uint64_t reported; /* what the last report said is durable */
	bool reply_wanted; /* the server waits for a report */

	int64_t heard_at;
	int64_t asked_at; /* since then we have not heard of it; 0: not asked */

	int64_t request_at; /* its last request */
	int64_t burst_at;   /* the first of a burst, or progress in it */
	int burst;          /* requests in it */
};

/*
 * sender_timeout is the server's wal_sender_timeout, after which it gives us
 * up, 0 if it does not; silence is how long we bear with it, 0 for ever, or -1
 * for 60 s or its own time-out if that is longer.  A server that works on a
 * large transaction with nothing in it for us may take half its time-out to
 * answer.
 */
void liveness_start(
    struct liveness *l, int64_t now, int64_t sender_timeout, int64_t silence);

/* Something came; or we do not listen, so that silence says nothing. */
void liveness_hear(struct liveness *l, int64_t now);

/* It asks for a report.  True: once more within a second, as it does when it
 * shuts down and waits for all to be confirmed. */
bool liveness_request(struct liveness *l, int64_t now);

/* Something more has become durable. */
void liveness_progress(struct liveness *l, int64_t now);

/* Has a stopping server waited for too long? */
bool liveness_stalled(const struct liveness *l, int64_t now);

/* When the next report is due, given what is durable. */
int64_t liveness_report_at(const struct liveness *l, uint64_t durable);

/* Is the next report to ask for an answer? */
bool liveness_asks(const struct liveness *l, int64_t now);

/* Takes note that a report went out. */
void liveness_reported(
    struct liveness *l, int64_t now, uint64_t durable, bool asks);

/* From when on the server is taken for dead: INT64_MAX unless it was asked. */
int64_t liveness_dead_at(const struct liveness *l);

#endif
