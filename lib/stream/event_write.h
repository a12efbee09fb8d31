/*
 * Writing lines of the stream (philotes-stream(5)).  What event_write writes,
 * event_read reads back as it was.
 */
#ifndef EVENT_WRITE_H
#define EVENT_WRITE_H

#include "base/buf.h"
#include "stream/event.h"

/*
 * Appends the event as one line with its newline.  A stored event has its id
 * as the first member and created_at as the last.
 */
void event_write(struct buf *b, const struct event *e);

/* {"control":"start",…} and a newline. */
void event_write_start(struct buf *b, const struct stream_start *s);

/* {"control":"checkpoint","ack":"…"} and a newline. */
void event_write_checkpoint(struct buf *b, struct view ack);

/* {"control":"alive"} and a newline: there is nothing to say, but the producer
 * is still at work. */
void event_write_alive(struct buf *b);

#endif
