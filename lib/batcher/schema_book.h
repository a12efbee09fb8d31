/*
 * Which schema line is in force for an event: the lines of philotes.cdc_schemas
 * for the source whose events are read.  With a book, each batch is complete in
 * itself: it has the line of a table before the first event of the table, and
 * another one where that comes into force.
 */
#ifndef SCHEMA_BOOK_H
#define SCHEMA_BOOK_H

#include "pg/pg.h"
#include "stream/event.h"

/* A piece of a batch as it is written: a schema line, or events. */
struct schema_piece {
	uint32_t line; /* 0: events */
	size_t len;
};

struct schema_table;
struct schema_line;
struct schema_source;

/* Zero-initialise. */
struct schema_book {
	struct schema_source *sources;
	size_t nsources;
	size_t source; /* the one aimed at */
	struct schema_table *tables;
	size_t ntables;
	size_t tables_room;
	size_t last;     /* the table of the last event */
	uint32_t *slots; /* a hash table: tables, counted from 1 */
	size_t cap;
	struct schema_line *lines; /* the first one is none */
	size_t nlines;
	size_t lines_room;
	size_t bytes; /* of all lines */

	/* the batch that is written */
	uint64_t batch;  /* counts them, as the tables remember */
	size_t at;       /* where it is in the queue, */
	uint64_t from;   /* how many events are before it, */
	uint64_t events; /* and in it */
	struct schema_piece *pieces;
	size_t npieces;
	size_t pieces_room;
	bool failed; /* memory ran out */
};

/*
 * Aims at a source, whose events will be those from the id `from` on.  Lines
 * that schema_book_at has returned may be invalid then.
 */
bool schema_book_aim(struct schema_book *b, struct view source, int64_t from);

/*
 * Reads the lines of the source that the book lacks, if the ledger has lines up
 * to the id `newest` (0: only if none were read yet).  Returns an exit code.
 */
int schema_book_load(struct schema_book *b, struct pg *pg, int64_t newest);

/* The line in force for an event of the source; 0: none. */
uint32_t schema_book_at(struct schema_book *b, const struct event *e);

/* The same for one event in the log, at any id, by asking the buffer.  Returns
 * an exit code. */
int schema_book_ask(
    struct schema_book *b, struct pg *pg, int64_t id, uint32_t *line);

/* The text of a line, with its newline. */
struct view schema_book_text(const struct schema_book *b, uint32_t line);

/* To list the pieces of a batch: first schema_book_begin, then for each event,
 * in order, its line and its length. */
void schema_book_begin(struct schema_book *b);
void schema_book_add(struct schema_book *b, uint32_t line, size_t len);

void schema_book_release(struct schema_book *b);

#endif
