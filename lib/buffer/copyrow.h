/*
 * Rows of philotes.cdc_log in PostgreSQL's binary COPY format (manual, "COPY",
 * Binary Format; fields as the types' send functions write them).  copyrow_put
 * and copyrow_get are inverses, except that only rows read from the server have
 * id and created_at.
 */
#ifndef COPYROW_H
#define COPYROW_H

#include "base/buf.h"
#include "stream/event.h"

/* The columns of a row to the server, in order. */
#define COPYROW_IN \
	"source_id, schema_name, table_name, operation, lsn, transaction_id, " \
	"commit_lsn, seq, key_columns, before_data, after_data, event_time, " \
	"metadata"
/* The columns of a row from the server. */
#define COPYROW_OUT "id, " COPYROW_IN ", created_at"

/* A line of the stream, with id and created_at, is about this many bytes longer
 * than the row that stores its event. */
#define COPYROW_LINE 200

void copyrow_put_header(struct buf *b);
void copyrow_put(struct buf *b, const struct event *e);
void copyrow_put_trailer(struct buf *b);

enum copyrow_status { COPYROW_EVENT, COPYROW_END, COPYROW_BAD };

/*
 * Reads one CopyData message of a COPY of COPYROW_OUT to the client.  The
 * server sends one row a message; the first message begins with the header, and
 * the trailer is the last one.  The event's views point into message.
 */
enum copyrow_status copyrow_get(
    struct view message, bool first, struct event *e);

#endif
