/*
 * The decoder of pgoutput, protocol version 1: messages in, events out.  It
 * keeps the relations as last described and the state of the current
 * transaction, but no row beyond its message.  The server describes a relation
 * once, so the decoder must keep it as long as changes of it may come.
 */
#ifndef PGOUTPUT_H
#define PGOUTPUT_H

#include "base/buf.h"
#include "reader/relation.h"
#include "reader/tuple.h"
#include "stream/event.h"

struct pgoutput; /* opaque */

/* NULL: out of memory.  Freed by pgoutput_free. */
struct pgoutput *pgoutput_new(void);
void pgoutput_free(struct pgoutput *d);

/*
 * The filter says which relations to leave out: their changes count in seq but
 * produce no events.  It is called when the server describes a relation, so it
 * must be set before the first message.
 */
typedef bool pgoutput_filter(
    const void *arg, struct view schema, struct view table);
void pgoutput_leave_out(
    struct pgoutput *d, pgoutput_filter *left_out, const void *arg);

/* The relations described so far; owned by the decoder. */
struct relation_cache *pgoutput_relations(struct pgoutput *d);

/*
 * Begins a message, which the server sent at position lsn and at this time (see
 * clock.h).  The message must stay until the last call of pgoutput_next for it.
 */
void pgoutput_feed(
    struct pgoutput *d, struct view message, uint64_t lsn, int64_t time);

enum pgoutput_status {
	PGOUTPUT_EVENT,  /* *e is set, except for source_id; call again */
	PGOUTPUT_DONE,   /* the message has no more events */
	PGOUTPUT_COMMIT, /* as DONE, and the message ended a transaction */
	PGOUTPUT_BAD,    /* see pgoutput_reason; only free the decoder now */
};

/*
 * The next event of the message.  Its views are valid until the next call of
 * pgoutput_feed or pgoutput_next.
 */
enum pgoutput_status pgoutput_next(struct pgoutput *d, struct event *e);

/*
 * The message that the last event is made of, if it was a transactional one:
 * views into what was fed.  False: it was something else.
 */
bool pgoutput_message(
    const struct pgoutput *d, struct view *prefix, struct view *content);

/* The relation of the last event; valid until the next message.  NULL: it has
 * none. */
struct relation *pgoutput_relation(const struct pgoutput *d);

/*
 * The row of the last event, if that is an UPDATE with columns that the server
 * did not send; valid as the event is.  NULL: it is something else.
 */
const struct tuple *pgoutput_unchanged(
    const struct pgoutput *d, const struct relation **r);

/* Is it an UPDATE of a row that had another key before?  Only those have the
 * key, or all, of the old row. */
bool pgoutput_rekeyed(const struct pgoutput *d);

/*
 * More events of the transaction that is open, numbered after the last one and
 * with its position and time: a row of a table as a snapshot has it, and a mark
 * that says how far the snapshot is.  The row is what the caller has read into
 * pgoutput_row.  id is the snapshot's name, data the mark's after_data.
 * *e is set but for source_id, as by pgoutput_next.
 */
struct tuple *pgoutput_row(struct pgoutput *d);
bool pgoutput_read(
    struct pgoutput *d, struct relation *r, struct view id, struct event *e);
void pgoutput_mark(struct pgoutput *d, struct view schema, struct view table,
    struct view data, struct event *e);

/* The transaction that is open, or was the last to end. */
uint32_t pgoutput_xid(const struct pgoutput *d);
uint64_t pgoutput_commit_lsn(const struct pgoutput *d);

/* Has a transaction begun whose commit has not been read? */
bool pgoutput_in_transaction(const struct pgoutput *d);

/* The end of the WAL record that ended the last transaction, a commit or a
 * non-transactional message: the position to confirm once it is durable. */
uint64_t pgoutput_commit_end(const struct pgoutput *d);

/* Why the last message was bad: a literal. */
const char *pgoutput_reason(const struct pgoutput *d);

#endif
