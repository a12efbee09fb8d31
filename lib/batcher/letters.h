/*
 * Dead letters: events that the handler could not process.  They are parked in
 * cdc_dead_letters, and the consumer's cursor goes on.
 */
#ifndef LETTERS_H
#define LETTERS_H

#include "batcher/cursor.h"

struct letter {
	int64_t id; /* of the event */
	uint64_t attempts;
	char status[40];
	struct buf stderr_tail;
};

/* Counts the consumer's open dead letters. */
int letters_count(struct cursor_session *s, uint64_t *n);

/* Parks the events, and marks m, which they are part of, in one statement. */
int letters_park(struct cursor_session *s, struct view source,
    const struct letter *letters, size_t n, const struct batch_mark *m);

/* CURSOR_LETTERS: records that these letters failed again. */
int letters_park_again(struct cursor_session *s, struct view source,
    const struct letter *letters, size_t n);

/*
 * Reads into the empty queue q the newest event before id that the consumer has
 * processed and not parked; nothing, if the log has none.
 */
int letters_neighbour(struct cursor_session *s, struct view source, int64_t id,
    struct batch_queue *q);

#endif
