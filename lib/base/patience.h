/*
 * Waiting for an answer: when to say that we wait, and when to give up.
 *
 * Nothing here reads a clock: `now` is clock_ms, so that time can be tested.
 */
#ifndef PATIENCE_H
#define PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

#define PATIENCE_SAY_MS 5000
#define PATIENCE_MS     60000 /* the limit unless another is set */

/* Set the limit, then patience_start. */
struct patience {
	int64_t limit; /* ms without a sign of life; 0: none */
	int64_t since; /* of the wait, or of the last sign of life */
	bool said;     /* in this wait */
};

enum patience_step {
	PATIENCE_WAIT, /* there is nothing to do */
	PATIENCE_SAY,  /* say that we wait: once in a wait */
	PATIENCE_OVER, /* the limit is reached */
};

/* A wait begins. */
void patience_start(struct patience *p, int64_t now);

/* Something has come or was taken; the wait goes on. */
void patience_hear(struct patience *p, int64_t now);

/* When patience_look has something to say next; INT64_MAX: never. */
int64_t patience_due_at(const struct patience *p);
enum patience_step patience_look(struct patience *p, int64_t now);

#endif
