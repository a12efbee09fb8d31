/*
 * The decoder of pgoutput, protocol version 1: messages in, events out.  It
 * keeps the relations as the server described them last and the transaction in
 * progress, nothing of a row beyond the message that holds it.  The server
 * describes a relation once, so it must be kept as long as it may have changes.
 */
#ifndef PGOUTPUT_H
#define PGOUTPUT_H

#include "base/buf.h"
#include "reader/relation.h"
#include "stream/event.h"

struct pgoutput; /* opaque */

/* NULL if there is no memory.  Freed by pgoutput_free. */
struct pgoutput *pgoutput_new(void);
void pgoutput_free(struct pgoutput *d);

/*
 * Which relations are left out: their changes count in a transaction's seq, but
 * are no events.  It is asked when the server describes one, so set it before
 * the first message.
 */
typedef bool pgoutput_filter(
    const void *arg, struct view schema, struct view table);
void pgoutput_leave_out(
    struct pgoutput *d, pgoutput_filter *left_out, const void *arg);

/* The relations that are known; the decoder's. */
struct relation_cache *pgoutput_relations(struct pgoutput *d);

/*
 * Starts on the message that the server sent with position lsn at this time
 * (see clock.h); message must stay until the last call of pgoutput_next for it.
 */
void pgoutput_feed(
    struct pgoutput *d, struct view message, uint64_t lsn, int64_t time);

enum pgoutput_status {
	PGOUTPUT_EVENT,  /* *e is set but for source_id; call again */
	PGOUTPUT_DONE,   /* nothing more in this message */
	PGOUTPUT_COMMIT, /* as DONE, and a transaction ended with it */
	PGOUTPUT_BAD, /* see pgoutput_reason; the decoder is of no more use */
};

/*
 * The next event of the message; its views live until the next call of feed
 * or next.
 */
enum pgoutput_status pgoutput_next(struct pgoutput *d, struct event *e);

/* Is a transaction open, its commit not seen yet? */
bool pgoutput_in_transaction(const struct pgoutput *d);

/* The end of the record that ended the last transaction, a commit or a message
 * outside transactions: what may be confirmed once it is durable. */
uint64_t pgoutput_commit_end(const struct pgoutput *d);

/* Why the last message was bad: a literal. */
const char *pgoutput_reason(const struct pgoutput *d);

#endif
