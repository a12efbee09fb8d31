/* Reading lines of the stream (philotes-stream(5)). */
#ifndef EVENT_READ_H
#define EVENT_READ_H

#include "base/buf.h"
#include "stream/event.h"
#include "stream/member.h"

enum line_kind {
	LINE_EVENT,
	LINE_START,
	LINE_CHECKPOINT,
	LINE_ALIVE,
	LINE_OTHER, /* another control line: pass it over */
};

/* What a line was; views into the line or into the reader's scratch. */
struct stream_line {
	enum line_kind kind;
	struct event event;
	struct stream_start start;
	struct view ack;
};

/* Reusable memory; zero-initialise. */
struct event_reader {
	struct json_reader json;
	struct json_reader nested;
	struct buf scratch;
};

/*
 * Reads one line without its newline.  It is strict about events, start lines
 * and checkpoints: every key is known, appears once and has the right type, and
 * no required one is missing.  Any other control line need only be JSON.
 * id, created_at and processed_at are accepted and ignored, so that one
 * buffer's output is another's input.  *l is valid until the next call and as
 * long as line is.  False, with *e filled, if the line is refused.
 */
bool event_read(struct event_reader *r, struct view line, struct stream_line *l,
    struct line_error *e);

/*
 * Fills *e with the names and the position of the event in a line that is too
 * long, is not JSON or is incomplete, as far as its first MiB has them.  The
 * views are valid as long as those of event_read.
 */
void event_read_identify(
    struct event_reader *r, struct view line, struct line_error *e);

/* Does a line, which need not be JSON, begin as our control lines do? */
bool event_read_is_control(struct view line);

void event_reader_release(struct event_reader *r);

#endif
