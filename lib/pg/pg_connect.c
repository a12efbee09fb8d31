#include "pg/pg_connect.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/signals.h"
#include "pg/pg_remedy.h"
#include "pg/pg_secret.h"

#define CONNECT_MS     30000
#define OLDEST_VERSION 140000 /* the first whose pgoutput sends messages */

/* Our variable for the connection string. */
static const char *
variable_of(const struct pg_target *t)
{
	return strcmp(t->what, "source") == 0 ? "PHILOTES_SOURCE_URL"
					      : "PHILOTES_BUFFER_URL";
}

static bool
is_set(const PQconninfoOption *parsed, const char *keyword)
{
	for (const PQconninfoOption *o = parsed;
	     o != NULL && o->keyword != NULL; o++) {
		if (strcmp(o->keyword, keyword) == 0)
			return o->val != NULL && *o->val != '\0';
	}
	return false;
}

/* argv is world-readable, the environment is not. */
static int
check_argument(const struct pg_target *t)
{
	if (t->conninfo == getenv(variable_of(t)) ||
	    !pg_has_secret(t->conninfo))
		return EXIT_DONE;
	log_error("could not use the connection string of --%s: it has a "
		  "password, and everybody can read arguments",
	    t->what);
	log_hint("Put the password into the file of PGPASSFILE or ~/.pgpass.");
	return EXIT_USAGE;
}

int
pg_connect_check(const struct pg_target *t)
{
	static const char *const own[] = {"PHILOTES_SOURCE_URL",
	    "PHILOTES_BUFFER_URL", "PGHOST", "PGHOSTADDR", "PGPORT",
	    "PGDATABASE", "PGSERVICE"};

	if (t->conninfo != NULL)
		return check_argument(t);
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++) {
		if (getenv(own[i]) != NULL && *getenv(own[i]) != '\0')
			return EXIT_DONE;
	}
	log_error("could not find the %s: no database was given", t->what);
	log_hint("Set %s, use --%s, or set libpq's own variables.",
	    variable_of(t), t->what);
	return EXIT_CONFIG;
}

static void
on_notice(void *arg, const PGresult *res)
{
	const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

	(void)arg;
	if (primary != NULL)
		log_info("the server says: %s", primary);
}

static bool
starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void
hint_at_form(const char *conninfo)
{
	if (strcmp(conninfo, "embedded") == 0)
		log_hint("Only philotes understands \"embedded\"; philotes(1) "
			 "says where the embedded buffer listens.");
	else
		log_hint("Write postgresql://USER@HOST:PORT/DATABASE, with "
			 "special characters percent-encoded, or host=HOST "
			 "dbname=DATABASE.");
}

static int
check_conninfo(const struct pg_target *t)
{
	char *message = NULL;
	PQconninfoOption *parsed;

	if (t->conninfo == NULL)
		return EXIT_DONE;
	parsed = pg_parse(t->conninfo, &message);
	/* most messages of libpq repeat parts of the string, perhaps of a
	 * password; what follows a space in a password is taken for an option
	 */
	if (parsed == NULL)
		log_error(
		    "could not read the connection string of the %s: %.*s",
		    t->what,
		    VIEW_FMT(message != NULL && !pg_has_secret(t->conninfo) &&
				starts_with(
				    message, "invalid connection option")
			    ? view_first_line(message)
			    : VIEW_LIT("it is malformed")));
	if (parsed == NULL && pg_has_secret(t->conninfo))
		log_hint("In the password of a URI write %%40 for @, %%2F for "
			 "/ and %%25 for %%.");
	PQfreemem(message);
	if (parsed == NULL)
		hint_at_form(t->conninfo);
	if (parsed != NULL && is_set(parsed, "replication")) {
		log_error("could not use the connection string of the %s: it "
			  "sets \"replication\", which only the tool may set",
		    t->what);
		PQconninfoFree(parsed);
		return EXIT_CONFIG;
	}
	PQconninfoFree(parsed);
	return parsed != NULL ? EXIT_DONE : EXIT_CONFIG;
}

/*
 * Chooses the line to show of libpq's message about a connection that failed
 * before there was a session.  libpq tries one address of one host after the
 * other, and each adds a line "connection to server … failed: …".  Takes the
 * last line that is more specific than "unreachable", else the last.
 */
static const struct pg_remedy *
telling_line(enum pg_kind kind, const char *message, struct view *line)
{
	const struct pg_remedy *found = NULL, *r;
	struct buf one = BUF_INIT;

	*line = view_first_line(message);
	for (const char *at = message; *at != '\0'; at += strspn(at, "\n")) {
		struct view v = view_first_line(at);

		buf_clear(&one);
		buf_addv(&one, v);
		at += v.n;
		if (buf_str(&one) == NULL ||
		    (v.p != message &&
			!starts_with(v.p, "connection to server")))
			continue;
		r = pg_remedy(kind, "", one.data);
		if ((r == NULL || r->code == EXIT_RETRY) && found != NULL &&
		    found->code != EXIT_RETRY)
			continue;
		found = r;
		*line = v;
	}
	buf_release(&one);
	return found;
}

static void
hint_at_remedy(const struct pg_target *t, const struct pg_remedy *r)
{
	if (r != NULL && r->hint != NULL)
		log_hint("%s", r->hint);
	if (t->conninfo == NULL)
		log_hint("%s is not set, so libpq's own variables and defaults "
			 "say where the %s is.",
		    variable_of(t), t->what);
}

/* libpq has no function for the SQLSTATE of a refused connection, but its
 * verbose message holds it: "FATAL:  28P01: password authentication failed …",
 * in any language. */
static int
connect_failed(const struct pg *pg, const struct pg_target *t)
{
	enum pg_kind kind = t->replication ? PG_WALSENDER : PG_PLAIN;
	const char *message = PQerrorMessage(pg->conn);
	const char *at = message;
	const struct pg_remedy *r;
	struct view line;
	char state[6] = "";

	while ((at = strstr(at, ":  ")) != NULL) {
		at += 3;
		if (strspn(at, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 &&
		    at[5] == ':' && at[6] == ' ') {
			memcpy(state, at, 5);
			message = at + 7;
		}
	}
	line = view_first_line(message);
	r = state[0] != '\0' ? pg_remedy(kind, state, message)
			     : telling_line(kind, message, &line);
	log_error(
	    "could not connect to the %s: %.*s", pg->what, VIEW_FMT(line));
	hint_at_remedy(t, r);
	if (r != NULL && r->code != 0)
		return r->code;
	return state[0] != '\0' ? pg_exit_code(state) : EXIT_RETRY;
}

static int
connect_poll(struct pg *pg, const struct pg_target *t)
{
	PostgresPollingStatusType next = PGRES_POLLING_WRITING;
	struct patience p = {.limit = CONNECT_MS};
	enum patience_step step;

	if (pg_timeout() > 0 && pg_timeout() < CONNECT_MS)
		p.limit = pg_timeout();
	patience_start(&p, clock_ms());
	for (;;) {
		if (fdio_wait(PQsocket(pg->conn),
			next == PGRES_POLLING_READING ? POLLIN : POLLOUT,
			signals_stop_requested()
			    ? 0
			    : clock_left(patience_due_at(&p))) != 0)
			next = PQconnectPoll(pg->conn);
		if (next == PGRES_POLLING_OK || next == PGRES_POLLING_FAILED)
			break;
		step = patience_look(&p, clock_ms());
		if (signals_stop_requested() || step == PATIENCE_OVER) {
			log_error("could not connect to the %s: %s", pg->what,
			    signals_stop_requested() ? "stopped" : "timed out");
			return EXIT_RETRY;
		}
		if (step == PATIENCE_SAY)
			log_warning(
			    "waiting for the %s to accept the connection",
			    pg->what);
	}
	return next == PGRES_POLLING_OK ? EXIT_DONE : connect_failed(pg, t);
}

/* Refuses an old server before it is asked anything that it does not know. */
static int
check_server(const struct pg *pg)
{
	const char *version = PQparameterStatus(pg->conn, "server_version");

	if (PQserverVersion(pg->conn) >= OLDEST_VERSION)
		return EXIT_DONE;
	log_error("could not use the %s: PostgreSQL %s is older than 14",
	    pg->what, version != NULL ? version : "of no known version");
	return EXIT_CONFIG;
}

int
pg_connect(struct pg *pg, const struct pg_target *t)
{
	/* the conninfo in dbname overrides the settings before it */
	const char *const keywords[] = {"keepalives_idle",
	    "keepalives_interval", "keepalives_count", "tcp_user_timeout",
	    "fallback_application_name", "dbname", "client_encoding",
	    t->replication ? "replication" : NULL, NULL};
	const char *const values[] = {"30", "10", "3", "60000", "philotes",
	    t->conninfo, "UTF8", "database", NULL};
	int rc = check_conninfo(t);

	*pg = (struct pg){.what = t->what,
	    .conninfo = t->conninfo,
	    .patience.limit = pg_timeout()};
	if (rc != EXIT_DONE)
		return rc;
	pg->conn = PQconnectStartParams(keywords, values, 1);
	if (pg->conn == NULL) {
		log_error(
		    "could not connect to the %s: out of memory", t->what);
		return EXIT_OS;
	}
	/* the server may send a notice before the session begins */
	PQsetNoticeReceiver(pg->conn, on_notice, NULL);
	PQsetErrorVerbosity(pg->conn, PQERRORS_VERBOSE);
	if (PQstatus(pg->conn) == CONNECTION_BAD)
		rc = connect_failed(pg, t);
	else
		rc = connect_poll(pg, t);
	if (rc != EXIT_DONE)
		return rc;
	PQsetErrorVerbosity(pg->conn, PQERRORS_DEFAULT);
	/* a server that stops reading must not block us */
	if (PQsetnonblocking(pg->conn, 1) != 0) {
		log_error(
		    "could not connect to the %s: out of memory", t->what);
		return EXIT_OS;
	}
	return check_server(pg);
}

bool
pg_connect_turned_away(const struct pg_target *t)
{
	const char *const keywords[] = {"dbname", "connect_timeout", NULL};
	const char *const values[] = {t->conninfo, "2", NULL};

	return PQpingParams(keywords, values, 1) == PQPING_REJECT;
}
