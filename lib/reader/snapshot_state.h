/*
 * How far a snapshot is: the request at hand and those that wait, and the tables
 * that are being read.  snapshot_message.h writes it into markers.
 */
#ifndef SNAPSHOT_STATE_H
#define SNAPSHOT_STATE_H

#include <stdint.h>

#include "base/buf.h"
#include "reader/keyspool.h"

#define SNAPSHOT_TABLES 64 /* at hand at a time */
#define SNAPSHOT_WISHES 64 /* that wait */

/* A name as SQL writes it, and its parts.  Zero-initialise. */
struct snapshot_name {
	struct buf sql; /* ends with a NUL byte; empty: none */
	struct buf schema;
	struct buf table;
};

/* What is next for a table: blocks of it; rows by their keys; its end. */
enum snapshot_step { SNAPSHOT_READ, SNAPSHOT_KEYS, SNAPSHOT_END };

/* A table at hand.  Zero-initialise. */
struct snapshot_table {
	enum snapshot_step step;
	struct snapshot_name name; /* published under this name */
	bool begun;                /* the stream has its `begin` */
	struct snapshot_name leaf; /* itself, or its partition */
	uint64_t leaf_oid;         /* 0: not looked at */
	uint64_t filenode;
	struct buf shape; /* of the rows that were read */
	uint64_t from;    /* the block where reading goes on */
	uint64_t to;
	uint64_t leaf_blocks;
	uint64_t rows; /* of the table, read before */
	uint64_t blocks;
	uint64_t of;          /* blocks in all */
	struct keyspool keys; /* of rows to be read again: JSON arrays of
			       * values in text form */

	/* in no marker */
	bool quiet;         /* who changed it before its snapshot has ended */
	struct buf writers; /* those that are waited for; empty: not asked */
	bool whole;         /* it is read at once, see snapshot_whole.c */
	bool armed;         /* the database snapshot for that is taken */
	unsigned tries;     /* that others' changes spoiled */
};

/* What somebody wants read.  Zero-initialise. */
struct snapshot_wish {
	struct buf id;
	bool all;          /* tables that are published */
	struct buf tables; /* else these: names as people write them, each with
			    * a NUL byte; those that are done are gone */
};

/* Zero-initialise. */
struct snapshot_state {
	bool paused;
	bool cancelled;
	struct snapshot_wish wish; /* at hand; no id: none is */
	struct buf next;           /* the last table that was chosen */
	struct snapshot_table tables[SNAPSHOT_TABLES]; /* at hand */
	size_t n;
	struct snapshot_wish *queue; /* those that wait, in order */
	size_t nqueue;
};

void snapshot_state_release(struct snapshot_state *s);

/* Functions that return bool return false if memory ran out. */

/* False also if the text is no name of one table. */
bool snapshot_name_set(struct snapshot_name *n, struct view sql);
void snapshot_name_release(struct snapshot_name *n);

/* Adds a table at hand, which is read from the first block of its leaf on. */
bool snapshot_state_add_table(
    struct snapshot_state *s, struct view name, struct view leaf, uint64_t of);

/* It is read anew from that block on, for the first time or once more. */
bool snapshot_table_begin(
    struct snapshot_table *t, struct view leaf, uint64_t of);

/* Removes the i-th table at hand. */
void snapshot_state_remove(struct snapshot_state *s, size_t i);

/* The table of this name if it is at hand, else NULL. */
struct snapshot_table *snapshot_state_find(
    struct snapshot_state *s, struct view schema, struct view table);

/* Adds a name behind the others of a wish. */
void snapshot_wish_add(struct snapshot_wish *w, struct view name);

/* Puts a name before the others. */
bool snapshot_wish_prepend(struct snapshot_wish *w, struct view name);

/* The first name, a view into the wish; null: there is none, or all are wanted.
 */
struct view snapshot_wish_first(const struct snapshot_wish *w);
void snapshot_wish_drop_first(struct snapshot_wish *w);
void snapshot_wish_release(struct snapshot_wish *w);

/*
 * Adds a wish, which is then empty, behind those that wait.  Of its tables those
 * that wait already are left out; it is done when they are.
 */
bool snapshot_state_add(struct snapshot_state *s, struct snapshot_wish *w);

/* Adds it whatever it has. */
bool snapshot_state_push(struct snapshot_state *s, struct snapshot_wish *w);

/* Nothing more is wanted; all wishes are still to be popped. */
void snapshot_state_cancel(struct snapshot_state *s);

/* The wish at hand is done: the next one, if there is one, is at hand. */
void snapshot_state_pop(struct snapshot_state *s);

#endif
