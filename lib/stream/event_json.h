/*
 * The stream: one JSON object a line (philotes-stream(5)).  event_json_put and
 * event_json_get are inverses.
 */
#ifndef EVENT_JSON_H
#define EVENT_JSON_H

#include "base/buf.h"
#include "stream/event.h"
#include "stream/member.h"

/*
 * Appends the event as one line with its newline: id first and created_at last
 * if it is stored.
 */
void event_json_put(struct buf *b, const struct event *e);

/* {"control":"checkpoint","ack":"…"} and a newline. */
void event_json_put_checkpoint(struct buf *b, struct view ack);

/* {"control":"alive"} and a newline: nothing to say, but still at work. */
void event_json_put_alive(struct buf *b);

/*
 * {"control":"start",…}: where the producer is and starts from.  history is
 * JSON text, an array of [timeline, "switch point"], ascending.
 */
struct stream_start {
	struct view source_id;
	struct view system_id;
	uint32_t timeline;
	struct view history;
	struct view slot;
	uint64_t lsn;   /* the slot's confirmed_flush_lsn */
	uint64_t flush; /* the server's WAL flush position */
};

void event_json_put_start(struct buf *b, const struct stream_start *s);

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
struct event_json_reader {
	struct json_reader json;
	struct json_reader nested;
	struct buf scratch;
};

/*
 * Reads one line (without its newline), strictly: known keys only, each once,
 * all that are required, of the right type; of the last two only that it is
 * JSON.
 * id, created_at and processed_at are accepted and ignored, so that one
 * buffer's output is another's input. *l is valid until the next call and as
 * long as line is.  False on refusal.
 */
bool event_json_get(struct event_json_reader *r, struct view line,
    struct stream_line *l, struct line_error *e);

/*
 * Of a line that is too long, or no JSON, and may be there in part: which event
 * it is, into *e, as far as its beginning tells.  Views are valid as those of
 * event_json_get.
 */
void event_json_identify(
    struct event_json_reader *r, struct view line, struct line_error *e);

/* Does a line begin like the control lines that our producers write, as far as
 * it can be said of one that is not JSON? */
bool event_json_is_control(struct view line);

void event_json_reader_release(struct event_json_reader *r);

#endif
