/*
 * From the output plugin's messages to lines: decodes, leaves out what was not
 * asked for, numbers nothing anew.
 */
#ifndef DECODE_H
#define DECODE_H

#include "reader/pgoutput.h"
#include "reader/walsender.h"

/* Zero-initialise; the fields up to `decoder` are the caller's to set. */
struct decode {
	PGresult *left_out;   /* walsender_left_out's; NULL: no table is */
	struct buf source_id; /* of every event */
	bool messages;        /* logical decoding messages are events too */
	struct pgoutput *decoder;
	struct table_name *sorted; /* left_out */
};

/* Returns an exit code: EXIT_OS if there is no memory. */
int decode_init(struct decode *e);

/* Also what the caller has set. */
void decode_release(struct decode *e);

/*
 * Appends the events of one WALSENDER_DATA to out.  *commit_end is the end of
 * the transaction that ends with it, or 0.  Returns an exit code:
 * EXIT_PROTOCOL for a message that cannot be decoded, whose first bytes have
 * been logged.
 */
int decode_take(struct decode *e, const struct walsender_message *m,
    struct buf *out, uint64_t *commit_end);

static inline bool
decode_in_transaction(const struct decode *e)
{
	return pgoutput_in_transaction(e->decoder);
}

#endif
