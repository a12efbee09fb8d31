#include "pg/pg_remedy.h"

#include <string.h>

#include "base/exitcode.h"
#include "base/log.h"

static const char check_password[] =
    "The password belongs in the file of PGPASSFILE or ~/.pgpass, of mode "
    "0600, in a line HOST:PORT:DATABASE:USER:PASSWORD.";
static const char check_role[] =
    "Check the user in the connection string, or PGUSER: the role must exist "
    "and have LOGIN, and pg_hba.conf of the server must let it in.";
static const char check_database[] =
    "Check the database in the connection string, or PGDATABASE; createdb "
    "makes one.";
static const char check_address[] =
    "Check that the server runs, and the host and port in the connection "
    "string, or PGHOST and PGPORT.";
static const char check_setting[] =
    "Take the setting out of the connection string, or out of PGOPTIONS.";
static const char check_tls[] =
    "Check sslmode, sslrootcert, sslcert and sslkey in the connection string, "
    "or PGSSLMODE and the like.";
static const char go_direct[] =
    "That is a connection pooler: connect to the server itself.";
static const char no_setting[] =
    "That is a connection pooler: connect to the server itself, or take the "
    "setting out of the connection string or PGOPTIONS.";
static const char more_room[] =
    "Close other connections, or raise max_connections, or the connection "
    "limit of the role or database.";

/*
 * The first match counts.  Connection poolers have SQLSTATEs of their own:
 * pgbouncer sends 08P01 for nearly every error, others 0A000.
 */
static const struct pg_remedy remedies[] = {
    {"08P01", "tartup parameter", PG_WALSENDER, EXIT_CONFIG, go_direct},
    {"08P01", "tartup parameter", PG_ANY, EXIT_CONFIG, no_setting},
    {"08P01", "no such database", PG_ANY, EXIT_CONFIG, check_database},
    {"08P01", "config error", PG_ANY, EXIT_CONFIG, NULL},
    {"08P01", "no such user", PG_ANY, EXIT_NOPERM, check_role},
    {"08P01", "^role ", PG_ANY, EXIT_NOPERM, check_role},
    {"08P01", "\" does not exist", PG_ANY, EXIT_CONFIG, check_database},
    {"08P01", "login rejected", PG_ANY, EXIT_NOPERM, check_role},
    {"08P01", "pg_hba.conf", PG_ANY, EXIT_NOPERM, check_role},
    {"08P01", "\"trust\" authentication", PG_ANY, EXIT_NOPERM, check_role},
    {"08P01", "authentication failed", PG_ANY, EXIT_NOPERM, check_password},
    {"08P01", "auth failed", PG_ANY, EXIT_NOPERM, check_password},
    {"08P01", "SSL required", PG_ANY, EXIT_CONFIG, check_tls},
    {"0A000", NULL, PG_WALSENDER, EXIT_CONFIG, go_direct},
    {"0A000", NULL, PG_ANY, EXIT_CONFIG, no_setting},
    {"28P01", NULL, PG_ANY, 0, check_password},
    {"28", NULL, PG_ANY, 0, check_role},
    {"3D000", NULL, PG_ANY, 0, check_database},
    {"42501", NULL, PG_WALSENDER, 0,
	"The role needs REPLICATION, by a superuser's ALTER ROLE ... "
	"REPLICATION, and CONNECT on the database."},
    {"42501", NULL, PG_ANY, 0,
	"The database's owner allows it with GRANT CONNECT ON DATABASE."},
    {"53300", NULL, PG_WALSENDER, 0,
	"Raise max_wal_senders, or close other connections."},
    {"53300", NULL, PG_ANY, 0, more_room},
    {"55000", NULL, PG_ANY, 0,
	"A superuser allows it with ALTER DATABASE ... ALLOW_CONNECTIONS "
	"true."},
    {"22", NULL, PG_ANY, EXIT_CONFIG, check_setting},
    {"42", NULL, PG_ANY, EXIT_CONFIG, check_setting},
    {"", "no password supplied", PG_ANY, EXIT_NOPERM, check_password},
    {"", "certificate verify failed", PG_ANY, EXIT_NOPERM, check_tls},
    {"", "does not match host name", PG_ANY, EXIT_NOPERM, check_tls},
    {"", "authentication method", PG_ANY, EXIT_NOPERM, check_role},
    {"", "certificate file", PG_ANY, EXIT_CONFIG, check_tls},
    {"", "private key file", PG_ANY, EXIT_CONFIG, check_tls},
    {"", "server does not support SSL", PG_ANY, EXIT_CONFIG, check_tls},
    {"", "channel binding", PG_ANY, EXIT_CONFIG, check_tls},
    {"", "^definition of service", PG_ANY, EXIT_CONFIG,
	"Services are defined in ~/.pg_service.conf, or the file of "
	"PGSERVICEFILE."},
    {"", "^invalid ", PG_ANY, EXIT_CONFIG,
	"Correct it in the connection string, or in libpq's variable."},
    {"", "authentication request", PG_ANY, EXIT_RETRY, check_address},
    {"", "response to SSL negotiation", PG_ANY, EXIT_RETRY, check_address},
    {"", "translate host name", PG_ANY, EXIT_RETRY, check_address},
    {"", "onnection refused", PG_ANY, EXIT_RETRY, check_address},
    {"", "o such file or directory", PG_ANY, EXIT_RETRY, check_address},
    {"", "o route to host", PG_ANY, EXIT_RETRY, check_address},
    {"", "etwork is unreachable", PG_ANY, EXIT_RETRY, check_address},
    {"", "imeout expired", PG_ANY, EXIT_RETRY, check_address},
};

static bool
contains(const char *message, const char *text)
{
	if (text == NULL)
		return true;
	if (*text == '^')
		return strncmp(message, text + 1, strlen(text + 1)) == 0;
	return strstr(message, text) != NULL;
}

const struct pg_remedy *
pg_remedy(enum pg_kind kind, const char *state, const char *message)
{
	for (size_t i = 0; i < sizeof(remedies) / sizeof(*remedies); i++) {
		const struct pg_remedy *r = &remedies[i];

		if ((*r->state == '\0') == (*state == '\0') &&
		    strncmp(state, r->state, strlen(r->state)) == 0 &&
		    (r->kind == PG_ANY || r->kind == kind) &&
		    contains(message, r->text))
			return r;
	}
	return NULL;
}

void
pg_remedy_pooler(void)
{
	log_hint("%s", go_direct);
}

/* A standby reports 0A000, feature not supported, for some statements. */
static bool
is_standby(const struct pg *pg, const char *state)
{
	const char *standby = PQparameterStatus(pg->conn, "in_hot_standby");

	return strcmp(state, "0A000") == 0 && standby != NULL &&
	    strcmp(standby, "on") == 0;
}

void
pg_remedy_statement(const struct pg *pg, const char *state)
{
	if (strcmp(state, "42501") == 0 && strcmp(pg->what, "buffer") == 0)
		log_hint("Grant the role what roles.sql grants to the tool's "
			 "role; philotes check says what is missing.");
	else if (strcmp(state, "25006") == 0 || is_standby(pg, state))
		log_hint("That server is a standby: name the primary, as with "
			 "several hosts and target_session_attrs=read-write.");
	else if (strcmp(state, "53100") == 0)
		log_hint("Make room on the disk of the %s.", pg->what);
}
