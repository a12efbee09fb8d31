/* Secrets in connection strings, which are parsed as libpq does. */
#ifndef PG_SECRET_H
#define PG_SECRET_H

#include <libpq-fe.h>
#include <stdbool.h>

/*
 * PQconninfoParse, but a URI with an '@' in its host or database is refused,
 * too, without a message: the '@' was meant to be part of the password, and
 * libpq's messages would show the rest of it.
 */
PQconninfoOption *pg_parse(const char *conninfo, char **message);

/* Is the option a secret, such as a password, and is it set? */
bool pg_is_secret(const PQconninfoOption *o);

/*
 * Does the connection string set a secret, in any of libpq's spellings?  If it
 * cannot be parsed: does it have a sign of one (see pg_secret.c)?
 */
bool pg_has_secret(const char *conninfo);

#endif
