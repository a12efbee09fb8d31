/*
 * Turns the output plugin's messages into event lines: decodes them, and drops
 * events that were not asked for without renumbering the others' seq.
 */
#ifndef DECODE_H
#define DECODE_H

#include "reader/pgoutput.h"
#include "reader/walsender.h"
#include "stream/tablelist.h"

/* Zero-initialise; the caller sets the first three. */
struct decode {
	PGresult *left_out;   /* source_left_out's; NULL: no table */
	struct buf source_id; /* of every event */
	bool messages;        /* print logical decoding messages too */
	struct pgoutput *decoder;
	struct table_name *sorted; /* the tables of left_out */
};

/* Returns an exit code: EXIT_OS if memory runs out. */
int decode_init(struct decode *e);

/* Frees also the fields that the caller has set. */
void decode_release(struct decode *e);

/*
 * Appends the events of one WALSENDER_DATA message to out.  If a transaction
 * ends with it, *commit_end is the end of that transaction, else 0.  Returns an
 * exit code: EXIT_PROTOCOL for a message that cannot be decoded.
 */
int decode_take(struct decode *e, const struct walsender_message *m,
    struct buf *out, uint64_t *commit_end);

static inline bool
decode_in_transaction(const struct decode *e)
{
	return pgoutput_in_transaction(e->decoder);
}

#endif
