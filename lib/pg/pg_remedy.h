/* What an error of a server, or on the way to it, takes to be mended. */
#ifndef PG_REMEDY_H
#define PG_REMEDY_H

#include "pg/pg.h"

/* It holds for a connection of this kind. */
enum pg_kind { PG_ANY, PG_PLAIN, PG_WALSENDER };

struct pg_remedy {
	const char *state; /* the SQLSTATE begins with this; "": libpq's own */
	const char *text;  /* is in the message, or with ^ begins it; or null */
	enum pg_kind kind;
	int code;         /* the exit code; 0: that of the SQLSTATE */
	const char *hint; /* a sentence, or null */
};

/*
 * Of a connection that failed: state is its SQLSTATE, or "" if libpq came to no
 * session, whose messages are in English, since the locale is not set.  Null:
 * nothing is known about it.
 */
const struct pg_remedy *pg_remedy(
    enum pg_kind kind, const char *state, const char *message);

/* Logs that a connection pooler stands where the source should. */
void pg_remedy_pooler(void);

/* Logs what to do about a statement's error, which has been logged. */
void pg_remedy_statement(const struct pg *pg, const char *state);

#endif
