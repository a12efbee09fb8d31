/* Reading lines of the stream (philotes-stream(5)). */
#ifndef EVENT_READ_H
#define EVENT_READ_H

#include "base/buf.h"
#include "stream/event.h"
#include "stream/member.h"
#include "json/json_read.h"

enum line_kind {
	LINE_EVENT,
	LINE_START,
	LINE_CHECKPOINT,
	LINE_ALIVE,
	LINE_SCHEMA,
	LINE_OTHER, /* another control line: ignore it */
};

/* A line that was read; its views point into the line or into the reader. */
struct stream_line {
	enum line_kind kind;
	struct event event;
	struct stream_start start;
	struct stream_schema schema;
	struct view ack;
};

/* Reusable memory; zero-initialise. */
struct event_reader {
	struct json_reader json;
	struct json_reader nested;
	struct buf scratch;
};

/*
 * Reads a line without its newline.  Events, start lines and checkpoints must
 * have every required member, only known ones, each once and with the right
 * type.  A schema line must have those of struct stream_schema, and may have any
 * others.  Of another control line only "control" is checked.  id, created_at
 * and processed_at are ignored, so that the output of one buffer can be the
 * input of another.  *l is valid until the next call, and as long as line is.
 * Returns false and fills *e if the line is refused.
 */
bool event_read(struct event_reader *r, struct view line, struct stream_line *l,
    struct line_error *e);

/*
 * Fills *e with the names and the identity of the event in a line that is too
 * long, cut off or not JSON, as far as they are found in its first MiB.  The
 * views are valid as long as those of event_read.
 */
void event_read_identify(
    struct event_reader *r, struct view line, struct line_error *e);

/* Does the line, which may not be JSON, begin like a control line of ours? */
bool event_read_is_control(struct view line);

void event_reader_release(struct event_reader *r);

#endif
