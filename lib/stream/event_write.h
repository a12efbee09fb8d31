/*
 * Writing lines of the stream (philotes-stream(5)).  From a line of event_write
 * event_read gets the same event, without id and created_at.
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

/* {"control":"alive"} and a newline: the producer has nothing to send, but is
 * still working. */
void event_write_alive(struct buf *b);

#endif
