/*
 * The events that a replay reads: those from one bound to another, both
 * included, of some tables or all.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include "batcher/cursor.h"
#include "batcher/prefetch.h"
#include "stream/tablelist.h"

/*
 * bound = '#' id | lsn | time
 * lsn   = hex '/' hex, compared with an event's commit_lsn
 * time  = as in when.h, compared with an event's event_time
 */
struct replay_bound {
	enum { REPLAY_OPEN, REPLAY_ID, REPLAY_LSN, REPLAY_TIME } kind;
	uint64_t value; /* REPLAY_TIME: a time of clock.h */
};

struct replay {
	struct replay_bound from;
	struct replay_bound to;
	struct table_list tables; /* n 0: all */
};

/* Relative times count from now, a time of clock.h. */
bool replay_bound_parse(const char *text, int64_t now, struct replay_bound *b);

/* False: from is later than to. */
bool replay_in_order(const struct replay *r);

/*
 * EXIT_CONFIG if the log has no event of one of the tables, from the sources
 * of s.  The log has no index on names and may be large: after a few seconds
 * the check is given up with a warning.
 */
int replay_find_tables(const struct replay *r, struct cursor_session *s);

/* Sets the span of s and the filter of p.  False: out of memory. */
bool replay_apply(
    const struct replay *r, struct cursor_session *s, struct prefetch *p);

#endif
