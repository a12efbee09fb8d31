/*
 * How far a snapshot is, as its markers carry it: transactional messages in the
 * source's WAL, prefix philotes.snapshot, with a JSON object as content.  A
 * marker asks for the part of a table that is to be read when it comes back in
 * the stream, and is what a reader that starts anew goes on from.
 *
 *	request	= { tables id? slot? }		what somebody wants read
 *	command	= { do slot? }			"pause", "resume" or "cancel"
 *	marker	= { run slot seen id step parts next tables rows blocks of
 *		    paused keys queue }
 *
 *	tables	the names still to be read, that at hand first, as people write
 *		them; null: all that are published, in order of name
 *	slot	of the reader that it is for; null in a request: of each
 *	run	of the reader process that wrote it
 *	seen	the LSN up to which requests are in the marker
 *	step	"read": blocks of the table at hand; "keys": rows by their keys;
 *		"end": nothing, the table is read
 *	parts	[] or [[leaf, relfilenode, first block, block beyond, blocks]]; the
 *		relfilenode 0: the leaf has not been looked at
 *	next	the table at hand, schema.table as SQL writes it
 *	rows, blocks, of	of that table: read before, read before, in all
 *	keys	of rows that are to be read again, [[value, …], …]
 *	queue	the requests behind, [{id tables}]
 */
#ifndef SNAPSHOT_STATE_H
#define SNAPSHOT_STATE_H

#include <stdint.h>

#include "base/buf.h"

#define SNAPSHOT_PREFIX "philotes.snapshot"

enum snapshot_step { SNAPSHOT_READ, SNAPSHOT_KEYS, SNAPSHOT_END };

/* Zero-initialise. */
struct snapshot_state {
	enum snapshot_step step;
	bool paused;
	struct buf id;     /* of the request at hand; empty: there is none */
	struct buf tables; /* JSON text: an array, or null */
	struct buf table;  /* that at hand; empty: to be chosen */
	struct buf leaf;   /* empty: the first */
	uint64_t filenode; /* of the leaf; 0: not looked at */
	uint64_t from;     /* the block where reading goes on */
	uint64_t to;
	uint64_t leaf_blocks;
	uint64_t rows; /* of the table */
	uint64_t blocks;
	uint64_t of;
	struct buf keys;  /* JSON text: arrays, with commas */
	struct buf queue; /* JSON text: the objects of the array, with commas */
};

void snapshot_state_release(struct snapshot_state *s);

/* Writes the marker; with `part` it asks for the blocks at hand, and with `keys`
 * it carries these. */
void snapshot_state_write(struct buf *b, const struct snapshot_state *s,
    const char *run, const char *slot, uint64_t seen, bool part, bool keys);

enum snapshot_kind {
	SNAPSHOT_REQUEST,
	SNAPSHOT_PAUSE,
	SNAPSHOT_RESUME,
	SNAPSHOT_CANCEL,
	SNAPSHOT_MARKER,
	SNAPSHOT_BAD, /* reason says why */
};

/* What a message says.  The texts are views into the content; of a marker the
 * state is filled. */
struct snapshot_message {
	enum snapshot_kind kind;
	const char *reason; /* a literal */
	struct view run;
	struct view slot; /* null: of every reader */
	struct view id;
	struct view tables; /* JSON text */
	uint64_t seen;
	bool part;
};

/* Reads a message.  False: out of memory. */
bool snapshot_message_read(
    struct view content, struct snapshot_message *m, struct snapshot_state *s);

/*
 * Adds a request behind those that wait.  Of its tables those that wait already
 * are left out.  False: out of memory.
 */
bool snapshot_state_add(
    struct snapshot_state *s, struct view id, struct view tables);

/* The request at hand is done: the next one, if there is one, is at hand. */
void snapshot_state_pop(struct snapshot_state *s);

/* The first of the tables, decoded into *name; false: there is none left, or
 * all are wanted. */
bool snapshot_state_first(const struct snapshot_state *s, struct buf *name);

/* Puts a name before the tables, which are a list. */
void snapshot_state_prepend(struct snapshot_state *s, struct view name);

/* Takes the first of the tables off. */
void snapshot_state_drop_first(struct snapshot_state *s);

#endif
