/*
 * What the catalog says of a table and the WAL does not: numbers of columns,
 * keys, labels of enums and the like, as they are when it is asked.  It is asked
 * over a connection of its own, since that of the stream takes no queries.
 */
#ifndef HINTS_H
#define HINTS_H

#include "pg/pg.h"
#include "reader/relation.h"

/* Zero-initialise, then set conninfo, which is the caller's. */
struct hints {
	const char *conninfo;

	/* private */
	struct pg pg;
	bool warned;
	int64_t retry_at;  /* after a failure: not before (clock_ms) */
	PGresult *columns; /* of table_hints.sql; NULL: not known */
	PGresult *types;   /* of type_hints.sql; NULL: none were asked for */
	int next;          /* the row of columns where the next name may be */
	int next_type; /* the row of types of the next column that has one */
	struct buf name;
};

/*
 * Asks for the hints of r.  If the server does not answer, there are none: a
 * warning is logged the first time.  Then hints_table, and hints_column once for
 * each column in order, append what is known.
 */
void hints_ask(struct hints *h, const struct relation *r);

/* Appends ,"primary_key":… and, of a partition, ,"partition_of":… */
void hints_add_table(struct hints *h, const struct relation *r, struct buf *b);

/* Appends ,"type":… and the members that follow it. */
void hints_add_column(struct hints *h, const struct column *col, struct buf *b);

void hints_close(struct hints *h);

#endif
