/*
 * Waiting for an answer: when to log that we wait, and when to give up.
 *
 * Nothing here reads a clock, so that tests can set the time: `now` is the
 * value of clock_ms.
 */
#ifndef PATIENCE_H
#define PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

#define PATIENCE_SAY_MS 5000
#define PATIENCE_MS     60000 /* the limit unless another is set */

/* Set the limit, then patience_start. */
struct patience {
	int64_t limit; /* ms without a sign of life; 0: no limit */
	int64_t since; /* start of the wait, or last sign of life */
	bool said;     /* PATIENCE_SAY was returned in this wait */
};

enum patience_step {
	PATIENCE_WAIT, /* there is nothing to do */
	PATIENCE_SAY,  /* log that we wait; returned once in a wait */
	PATIENCE_OVER, /* the limit is reached: give up */
};

/* A wait begins. */
void patience_start(struct patience *p, int64_t now);

/* The peer sent or accepted something, but the wait goes on. */
void patience_hear(struct patience *p, int64_t now);

/* The time from which patience_look returns another step than PATIENCE_WAIT;
 * INT64_MAX: never. */
int64_t patience_due_at(const struct patience *p);
enum patience_step patience_look(struct patience *p, int64_t now);

#endif
