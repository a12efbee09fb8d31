/*
 * Turns the output plugin's messages into event lines: decodes them, and drops
 * events that were not asked for without renumbering the others' seq.
 */
#ifndef DECODE_H
#define DECODE_H

#include "reader/pgoutput.h"
#include "reader/schema_line.h"
#include "reader/snapshot_state.h"
#include "reader/walsender.h"
#include "stream/safe_numbers.h"
#include "stream/tablelist.h"

/* Zero-initialise; the caller sets those before `decoder`. */
struct decode {
	PGresult *left_out;           /* source_left_out's; NULL: no table */
	struct buf source_id;         /* of every event */
	bool messages;                /* print logical decoding messages too */
	struct schema_lines *schemas; /* NULL: print no schema lines */
	const struct snapshot_name *watched; /* a table, or NULL */
	struct safe_numbers numbers;
	struct pgoutput *decoder;
	struct table_name *sorted; /* the tables of left_out */
	/* of the last decode_take: */
	struct view snapshot; /* a snapshot message's content, or null */
	const struct tuple *unchanged;   /* a row that lacks columns, or NULL */
	const struct relation *relation; /* that row's */
	bool touched;                    /* the watched table was changed */
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

/*
 * Appends a row of COPY TO STDOUT as a READ event of the transaction that is
 * open.  row is changed.  EXIT_PROTOCOL if it is malformed.
 */
int decode_row(struct decode *e, struct relation *r, struct view id, char *row,
    size_t len, struct buf *out);

/* Appends the schema line of the relation, unless it is NULL or the line is not
 * due. */
void decode_tell(struct decode *e, struct relation *r, struct buf *out);

/* Appends a SNAPSHOT event with this after_data. */
void decode_mark(struct decode *e, struct view schema, struct view table,
    struct view data, struct buf *out);

/* Is the table one that is left out? */
bool decode_leaves_out(
    const struct decode *e, struct view schema, struct view table);

static inline bool
decode_in_transaction(const struct decode *e)
{
	return pgoutput_in_transaction(e->decoder);
}

#endif
