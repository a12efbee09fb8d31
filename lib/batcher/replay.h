/*
 * What a replay reads: from one place in the log to another, both included,
 * of some tables or all.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include "batcher/cursor.h"
#include "stream/tablelist.h"

/*
 * bound = '#' id | lsn | time
 * lsn   = hex '/' hex, compared with an event's commit_lsn
 * time  = what when.h reads, compared with an event's event_time
 */
struct replay_bound {
	enum { REPLAY_OPEN, REPLAY_ID, REPLAY_LSN, REPLAY_TIME } kind;
	uint64_t value; /* of REPLAY_TIME see clock.h */
};

struct replay {
	struct replay_bound from;
	struct replay_bound to;
	struct table_list tables; /* n 0: all */
};

/* now is what relative times start from, see clock.h. */
bool replay_bound_parse(const char *text, int64_t now, struct replay_bound *b);

/* False: from lies behind to. */
bool replay_in_order(const struct replay *r);

/*
 * Refuses, with EXIT_CONFIG, a table of which the log has no event at all, in
 * the sources of s.  What takes longer than a few seconds is given up with a
 * warning: the log has no index on names, and may be large.
 */
int replay_find_tables(const struct replay *r, struct cursor_session *s);

/* As the session's span, and as the filter of what is read ahead; false: no
 * memory. */
bool replay_apply(
    const struct replay *r, struct cursor_session *s, struct prefetch *a);

#endif
