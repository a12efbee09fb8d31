/*
 * One run of the reader, shared by the files that make up its loop:
 *
 *	reader.c           starts the run and ends it
 *	reader_loop.c      phases, timers, poll(2)
 *	reader_input.c     messages from the server: become lines in the output
 *	reader_output.c    lines to stdout, acknowledgements back
 *	reader_feedback.c  status updates to the server; is it alive?
 *
 * Nothing else includes this.  Functions that return int return an exit code
 * and have logged the error.
 */
#ifndef READER_STATE_H
#define READER_STATE_H

#include "base/fdio.h"
#include "reader/decode.h"
#include "reader/heartbeat.h"
#include "reader/liveness.h"
#include "reader/progress.h"
#include "reader/reader.h"
#include "reader/snapshot.h"
#include "reader/source.h"
#include "reader/sweep.h"
#include "reader/walsender.h"

/* In this order.  WRITING and WAITING end a run: the last checkpoint is
 * written, stdout is closed, and the last acknowledgements come in. */
enum reader_phase {
	READER_STREAMING,
	READER_WRITING,
	READER_WAITING,
	READER_ENDED,
};

struct reader {
	const struct reader_options *o;
	struct source_system system;
	struct heartbeat heartbeat;
	struct sweep sweep;
	struct snapshot snapshot;
	uint64_t confirmed; /* what the slot is told */

	enum reader_phase phase;
	int64_t phase_until; /* 0: no limit */
	uint64_t until;      /* the position to stop at; 0: none */
	bool until_snapshot; /* and no snapshot is under way */

	/* from the server */
	struct walsender stream;
	struct decode decode;
	struct schema_lines schemas;
	struct progress progress;
	struct liveness liveness;
	bool dry;          /* the last read found no message */
	bool busy;         /* a message has arrived since the last wait */
	size_t part_bytes; /* received of an incomplete message */

	/* to stdout */
	struct fdio_out out;
	struct ack_channel acks;
	bool inside;         /* the output ends inside a transaction */
	int64_t blocked_at;  /* since when stdout is blocked; 0: it is not */
	int64_t quiet_since; /* no output since then, in a transaction */
};

/* with this much output queued the reader stops reading messages */
#define READER_OUT_BYTES ((size_t)256 * 1024)

/* Does the reader take messages from the server now? */
static inline bool
reader_is_reading(const struct reader *r)
{
	return r->phase == READER_STREAMING &&
	    !snapshot_reading(&r->snapshot) &&
	    fdio_out_pending(&r->out) < READER_OUT_BYTES;
}

/* Runs until the end of the last phase. */
int reader_loop(struct reader *r);

/* Reads the messages that have arrived, up to a limit. */
int reader_input(struct reader *r);

/* Between transactions, and told to read no further? */
bool reader_input_is_over(const struct reader *r);

/* Sends the position that is complete as a checkpoint. */
void reader_output_checkpoint(struct reader *r);

/* Sends an alive line if one is due; reader_output_alive_at is when, or
 * INT64_MAX. */
void reader_output_alive(struct reader *r);
int64_t reader_output_alive_at(const struct reader *r);

/* Writes to stdout as far as it takes the output. */
int reader_output_flush(struct reader *r);

/* After the source has failed: writes what is complete, for a short time. */
void reader_output_rest(struct reader *r);

/* Reads the acknowledgements that have arrived. */
int reader_output_acks(struct reader *r);

/* Sends a status update.  Without acknowledgements it confirms nothing. */
int reader_feedback_report(struct reader *r);

/* When the next status update is due. */
int64_t reader_feedback_at(const struct reader *r);

/* Does all that is due on the connections to the server. */
int reader_feedback_work(struct reader *r);

/* The server has asked for a reply. */
int reader_feedback_requested(struct reader *r);

/* The socket is readable, perhaps with a part of a message only. */
void reader_feedback_hear_part(struct reader *r);

/* Checks whether the server shuts down while stdout is blocked. */
int reader_feedback_look(struct reader *r);

#endif
