/* What to do about an error of a server, or of connecting to it. */
#ifndef PG_REMEDY_H
#define PG_REMEDY_H

#include "pg/pg.h"

/* The kind of connection that a remedy is for. */
enum pg_kind { PG_ANY, PG_PLAIN, PG_WALSENDER };

struct pg_remedy {
	const char *state; /* prefix of the SQLSTATE; "": an error of libpq */
	const char *text;  /* in the message; "^text": at its start; or NULL */
	enum pg_kind kind;
	int code;         /* the exit code; 0: that of the SQLSTATE */
	const char *hint; /* a sentence, or NULL */
};

/*
 * The remedy for a failed connection, or NULL if none is known.  state is the
 * SQLSTATE of the server's error, or "" for an error of libpq, whose messages
 * are in English, since we set no locale.
 */
const struct pg_remedy *pg_remedy(
    enum pg_kind kind, const char *state, const char *message);

/* Logs the hint to connect to the server instead of a connection pooler. */
void pg_remedy_pooler(void);

/* Logs a hint, if there is one, about a statement's error just logged. */
void pg_remedy_statement(const struct pg *pg, const char *state);

#endif
