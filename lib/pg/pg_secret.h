/* Secrets in connection strings, as libpq reads these. */
#ifndef PG_SECRET_H
#define PG_SECRET_H

#include <libpq-fe.h>
#include <stdbool.h>

/*
 * PQconninfoParse, that is NULL also for a URI with an '@' in its host or
 * database: these are the rest of a password that is not escaped, which libpq's
 * messages would show.
 */
PQconninfoOption *pg_parse(const char *conninfo, char **message);

/* Is this an option whose value nobody else may see, and is it set? */
bool pg_is_secret(const PQconninfoOption *o);

/*
 * Does the connection string set a secret, however that is spelled?  What libpq
 * cannot read counts as a secret if it looks like a connection string that was
 * to have one.
 */
bool pg_has_secret(const char *conninfo);

#endif
