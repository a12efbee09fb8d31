#include <string.h>

#include "base/exitcode.h"
#include "pg/pg_remedy.h"
#include "tap.h"

#define NONE (-1)

/* Messages of servers, poolers and libpq, and their remedies; code 0 is that of
 * the SQLSTATE. */
static const struct {
	enum pg_kind kind;
	const char *state;
	const char *message;
	int code;
	const char *hint; /* part of the hint */
} cases[] = {
    /* pgbouncer, new and old; the poolers of Neon and Supabase */
    {PG_WALSENDER, "08P01", "unsupported startup parameter: replication",
	EXIT_CONFIG, "connect to the server itself."},
    {PG_WALSENDER, "08P01", "Unsupported startup parameter: replication",
	EXIT_CONFIG, "connect to the server itself."},
    {PG_PLAIN, "08P01", "unsupported startup parameter: options", EXIT_CONFIG,
	"PGOPTIONS"},
    {PG_PLAIN, "08P01", "unsupported startup parameter in options: jit",
	EXIT_CONFIG, "PGOPTIONS"},
    {PG_PLAIN, "08P01",
	"unsupported options startup parameter: only '-c config=val' is "
	"allowed",
	EXIT_CONFIG, "PGOPTIONS"},
    {PG_PLAIN, "08P01", "no such database: x", EXIT_CONFIG, "createdb"},
    {PG_PLAIN, "08P01", "database \"x\" does not exist", EXIT_CONFIG,
	"createdb"},
    {PG_PLAIN, "08P01", "role \"x\" does not exist", EXIT_NOPERM, "LOGIN"},
    {PG_PLAIN, "08P01", "no such user", EXIT_NOPERM, "LOGIN"},
    {PG_PLAIN, "08P01", "login rejected", EXIT_NOPERM, "pg_hba.conf"},
    {PG_PLAIN, "08P01", "no pg_hba.conf entry for host \"::1\"", EXIT_NOPERM,
	"pg_hba.conf"},
    {PG_PLAIN, "08P01", "\"trust\" authentication failed", EXIT_NOPERM,
	"LOGIN"},
    {PG_PLAIN, "08P01", "password authentication failed for user \"x\"",
	EXIT_NOPERM, "PGPASSFILE"},
    {PG_PLAIN, "08P01", "SASL authentication failed", EXIT_NOPERM,
	"PGPASSFILE"},
    {PG_PLAIN, "08P01", "bouncer config error", EXIT_CONFIG, NULL},
    {PG_PLAIN, "08P01", "SSL required", EXIT_CONFIG, "sslmode"},
    /* errors of a pooler that may pass */
    {PG_PLAIN, "08P01", "server login has been failing, try again later", NONE,
	NULL},
    {PG_PLAIN, "08P01", "query_wait_timeout", NONE, NULL},
    {PG_PLAIN, "08P01", "pgbouncer cannot connect to server", NONE, NULL},
    /* RDS Proxy, and servers with PostgreSQL's protocol */
    {PG_PLAIN, "0A000",
	"Feature not supported: RDS Proxy currently doesn't support "
	"command-line options.",
	EXIT_CONFIG, "PGOPTIONS"},
    {PG_WALSENDER, "0A000", "replication connections are not supported",
	EXIT_CONFIG, "connect to the server itself."},
    /* PostgreSQL, in any language */
    {PG_PLAIN, "28P01", "falsches Passwort", 0, "PGPASSFILE"},
    {PG_PLAIN, "28000", "Rolle existiert nicht", 0, "LOGIN"},
    {PG_PLAIN, "3D000", "Datenbank existiert nicht", 0, "createdb"},
    {PG_PLAIN, "42501", "keine Berechtigung", 0, "GRANT CONNECT"},
    {PG_WALSENDER, "42501", "keine Berechtigung", 0,
	"ALTER ROLE ... REPLICATION"},
    {PG_PLAIN, "53300", "zu viele Verbindungen", 0, "max_connections"},
    {PG_WALSENDER, "53300", "zu viele", 0, "max_wal_senders"},
    {PG_PLAIN, "42704", "unrecognized configuration parameter \"x\"",
	EXIT_CONFIG, "PGOPTIONS"},
    {PG_PLAIN, "22023", "invalid value for parameter", EXIT_CONFIG,
	"PGOPTIONS"},
    {PG_PLAIN, "57P03", "the database system is starting up", NONE, NULL},
    {PG_PLAIN, "XX000", "internal", NONE, NULL},
    /* libpq */
    {PG_PLAIN, "",
	"connection to server on socket \"x\" failed: fe_sendauth: no "
	"password supplied",
	EXIT_NOPERM, "PGPASSFILE"},
    {PG_PLAIN, "", "connection to server failed: Connection refused",
	EXIT_RETRY, "host and port"},
    {PG_PLAIN, "", "could not translate host name \"x\" to address", EXIT_RETRY,
	"host and port"},
    {PG_PLAIN, "", "server closed the connection unexpectedly", NONE, NULL},
    {PG_PLAIN, "", "invalid port number: \"x\"", EXIT_CONFIG, "Correct it"},
    {PG_PLAIN, "", "received invalid data", NONE, NULL},
    {PG_PLAIN, "", "SSL error: certificate verify failed", EXIT_NOPERM,
	"sslrootcert"},
    {PG_PLAIN, "", "definition of service \"x\" not found", EXIT_CONFIG,
	"PGSERVICEFILE"},
    /* a text of libpq does not count in a server's message, and vice versa */
    {PG_PLAIN, "57P01", "Connection refused", NONE, NULL},
    {PG_PLAIN, "", "unsupported startup parameter", NONE, NULL},
};

int
main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct pg_remedy *r = pg_remedy(
		    cases[i].kind, cases[i].state, cases[i].message);
		int code = r != NULL ? r->code : NONE;
		const char *hint = r != NULL ? r->hint : NULL;
		bool good = hint == NULL || cases[i].hint == NULL
		    ? hint == cases[i].hint
		    : strstr(hint, cases[i].hint) != NULL;

		if (!ok(code == cases[i].code && good, "%s %s", cases[i].state,
			cases[i].message))
			printf("# got %d: %s\n", code,
			    hint != NULL ? hint : "(null)");
	}
	return done_testing();
}
