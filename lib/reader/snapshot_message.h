/*
 * The messages of snapshots in the source's WAL: transactional logical decoding
 * messages, prefix philotes.snapshot, with a JSON object as content.  A marker
 * asks for the parts of tables that are to be read when it comes back in the
 * stream, and is what a reader that starts anew goes on from.
 *
 *	request	= { mac? tables id? slot? }	what somebody wants read
 *	command	= { mac? do slot? }		"pause", "resume" or "cancel"
 *	marker	= { mac? run slot seen id parts next tables at paused cancelled
 *		    queue }
 *
 *	mac	see snapshot_seal.h
 *	tables	the names still to be read, as people write them; null: all that
 *		are published, in order of name, behind `next`
 *	slot	of the reader that it is for; null in a request: of each
 *	run	of the reader process that wrote it
 *	seen	the LSN up to which requests are in the marker
 *	parts	[[leaf, relfilenode, first block, block beyond, blocks], …] of the
 *		tables at hand whose step is "read", in order
 *	next	the last table that was chosen, schema.table as SQL writes it
 *	at	the tables at hand, [{table step begun leaf shape rows blocks of
 *		keys}, …]
 *	step	"read": blocks; "keys": rows by their keys; "end": it is read
 *	begun	the stream has the table's `begin`
 *	leaf	its OID; 0: it has not been looked at
 *	shape	another one means that rows read before would now be read in
 *		another way
 *	rows, blocks, of	read before, read before, in all
 *	keys	of rows that are to be read again, [[value, …], …]
 *	queue	the requests behind, [{id tables}, …]
 */
#ifndef SNAPSHOT_MESSAGE_H
#define SNAPSHOT_MESSAGE_H

#include "reader/snapshot_state.h"

#define SNAPSHOT_PREFIX "philotes.snapshot"

/* Writes the marker; with `keys` it carries those of the tables at hand, up to
 * KEYSPOOL_BATCH of each. */
void snapshot_marker_write(struct buf *b, struct snapshot_state *s,
    const char *run, const char *slot, uint64_t seen, bool keys);

enum snapshot_kind {
	SNAPSHOT_REQUEST,
	SNAPSHOT_PAUSE,
	SNAPSHOT_RESUME,
	SNAPSHOT_CANCEL,
	SNAPSHOT_MARKER,
	SNAPSHOT_BAD, /* reason says why */
};

/* What a message says.  The texts are views into the content. */
struct snapshot_message {
	enum snapshot_kind kind;
	const char *reason; /* a literal */
	struct view run;
	struct view slot;          /* null: of every reader */
	struct snapshot_wish wish; /* of a request */
	uint64_t seen;
	struct snapshot_state state; /* of a marker */
};

/* Reads a message.  False: out of memory.  Release it in either case. */
bool snapshot_message_read(struct view content, struct snapshot_message *m);
void snapshot_message_release(struct snapshot_message *m);

#endif
