/* Comparing events, for the drivers. */
#ifndef SAME_H
#define SAME_H

#include "stream/event.h"

static inline bool
same_event(const struct event *a, const struct event *b)
{
	return a->id == b->id && view_eq(a->source_id, b->source_id) &&
	    view_eq(a->schema_name, b->schema_name) &&
	    view_eq(a->table_name, b->table_name) &&
	    view_eq(a->operation, b->operation) && view_eq(a->lsn, b->lsn) &&
	    a->transaction_id == b->transaction_id &&
	    a->has_transaction_id == b->has_transaction_id &&
	    a->commit_lsn == b->commit_lsn && a->seq == b->seq &&
	    view_eq(a->key_columns, b->key_columns) &&
	    view_eq(a->before_data, b->before_data) &&
	    view_eq(a->after_data, b->after_data) &&
	    view_eq(a->metadata, b->metadata) &&
	    a->event_time == b->event_time && a->created_at == b->created_at;
}

#endif
