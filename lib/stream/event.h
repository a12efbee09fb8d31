/*
 * An event is a row change, a line of the stream, and a row of
 * philotes.cdc_log.  All layers share this struct: decoders fill it with views
 * into their input, encoders write it out.  It owns no memory.
 */
#ifndef EVENT_H
#define EVENT_H

#include <stdint.h>

#include "base/view.h"

#define SOURCE_ID_MAX  512 /* bytes; primary keys of the buffer contain it, */
#define NAME_MAX_BYTES 512 /* and the names in a schema line */

struct event {
	int64_t id; /* 0: not stored yet */
	struct view source_id;
	struct view schema_name;
	struct view table_name;
	struct view operation; /* INSERT, UPDATE, DELETE, TRUNCATE, MESSAGE,
				* READ, SNAPSHOT */
	struct view lsn;       /* of the change: neither unique nor ordered */
	int64_t transaction_id;
	bool has_transaction_id;
	/* identity and order; seq 0: the event has none */
	uint64_t commit_lsn;
	uint64_t seq;
	/* JSON text, or null */
	struct view key_columns;
	struct view before_data;
	struct view after_data;
	struct view metadata; /* without commit_lsn and seq */
	/* timestamps: see clock.h */
	int64_t event_time;
	int64_t created_at; /* meaningful if id is set */
};

/*
 * The start line: which server and slot the producer reads, and from where.
 * history is JSON text, an array of [timeline, "switch point"] in ascending
 * order.
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

/*
 * A schema line: how to read the events of a table that follow it.  Equal texts
 * have equal names.
 */
struct stream_schema {
	struct view source_id;
	struct view schema_name;
	struct view table_name;
	struct view schema; /* its name */
	struct view relid;  /* of the table on the source; null: not known */
	struct view text;   /* the line; jsonb can hold it */
};

/* Compares the order of two events of one source: <0, 0 (the same event), >0.
 */
static inline int
event_order(
    uint64_t commit_a, uint64_t seq_a, uint64_t commit_b, uint64_t seq_b)
{
	if (commit_a != commit_b)
		return commit_a < commit_b ? -1 : 1;
	return seq_a < seq_b ? -1 : seq_a > seq_b;
}

#endif
