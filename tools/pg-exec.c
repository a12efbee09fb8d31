/*
 * What our scripts run psql with: psql takes a connection string by its
 * arguments alone, which everybody on the machine can read.
 *
 *	pg-exec VARIABLE PSQL [ARG ...]
 *
 * runs PSQL with the connection string that the environment variable holds.
 * Without a secret in it the string goes as it is, after PSQL's -d, and if it
 * is empty there is no -d.  Otherwise each secret goes by libpq's variable for
 * it, or, if it has none, by a service file that has no name; what is left goes
 * after -d.  Neither VARIABLE nor PHILOTES_*_URL reaches PSQL.
 *
 *	pg-exec --has-secret VARIABLE
 *
 * has the status 0 if that string has a secret in it, 1 if not.
 *
 * libpq takes a setting from the connection string first, then from the
 * service, then from the environment.  A secret that moves into the environment
 * would thus yield to the service's, so a service that is in use is resolved
 * here, by libpq, and PSQL gets the result.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "pg/pg_secret.h"

/* What libpq 14 has room for in a line of a service file, and a little less. */
#define LINE_BYTES 1000
#define SERVICE    "pg-exec"

/* Connecting with this setting always fails, before anything is opened. */
#define REFUSED "?"

struct plan {
	struct buf conninfo; /* for everybody to read */
	struct buf file;     /* the service's settings */
};

static PQconninfoOption *
find(PQconninfoOption *options, const char *keyword)
{
	for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL;
	     o++) {
		if (strcmp(o->keyword, keyword) == 0)
			return o;
	}
	return NULL;
}

static const char *
value_of(PQconninfoOption *options, const char *keyword)
{
	const PQconninfoOption *o = find(options, keyword);

	return o != NULL ? o->val : NULL;
}

static bool
is_same(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/*
 * All settings that libpq would connect with, but for one of which it is told
 * what it refuses.  NULL: it has been said why there are none.
 */
static PQconninfoOption *
resolve(const char *conninfo, const char *refused)
{
	const char *const keywords[] = {"dbname", refused, NULL};
	const char *const values[] = {conninfo, REFUSED, NULL};
	PGconn *conn = PQconnectStartParams(keywords, values, 1);
	PQconninfoOption *options = PQconninfo(conn);

	if (!is_same(value_of(options, refused), REFUSED)) {
		log_error(
		    "%.*s", VIEW_FMT(view_first_line(PQerrorMessage(conn))));
		PQconninfoFree(options);
		options = NULL;
	}
	PQfinish(conn);
	return options;
}

static void
add_setting(struct buf *b, const char *keyword, const char *value)
{
	buf_addf(b, "%s%s='", b->len > 0 ? " " : "", keyword);
	for (; *value != '\0'; value++) {
		if (*value == '\'' || *value == '\\')
			buf_addc(b, '\\');
		buf_addc(b, *value);
	}
	buf_addc(b, '\'');
}

static bool
fits_line(const char *value)
{
	size_t n = strlen(value);

	return n < LINE_BYTES && strchr(value, '\n') == NULL &&
	    strchr(" \t\r\v\f", value[n - 1]) == NULL;
}

static int
hide(struct plan *p, const PQconninfoOption *o)
{
	if (o->envvar != NULL) {
		if (setenv(o->envvar, o->val, 1) == 0)
			return EXIT_DONE;
		log_error(
		    "could not set \"%s\": %s", o->envvar, strerror(errno));
		return EXIT_OS;
	}
	if (!fits_line(o->val)) {
		log_error("could not use \"%s\": libpq's service files have "
			  "no room for it",
		    o->keyword);
		return EXIT_CONFIG;
	}
	buf_addf(&p->file, "%s=%s\n", o->keyword, o->val);
	return EXIT_DONE;
}

/* A file in memory that whoever has our descriptor can open, and nobody else.
 */
static int
write_service(const struct buf *file)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "/pg-exec-%ld", (long)getpid());
	fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd >= 0)
		shm_unlink(name);
	if (fd < 0 || fcntl(fd, F_SETFD, 0) < 0 ||
	    write(fd, file->data, file->len) != (ssize_t)file->len)
		return -1;
	return fd;
}

static int
use_service(struct plan *p)
{
	struct buf whole = BUF_INIT;
	char path[32];
	int fd = -1;

	if (p->file.len == 0)
		return EXIT_DONE;
	buf_adds(&whole, "[" SERVICE "]\n");
	buf_addv(&whole, buf_view(&p->file));
	if (!whole.failed)
		fd = write_service(&whole);
	buf_release(&whole);
	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	add_setting(&p->conninfo, "service", SERVICE);
	if (fd >= 0 && setenv("PGSERVICEFILE", path, 1) == 0)
		return EXIT_DONE;
	log_error("could not make a service file: %s", strerror(errno));
	return EXIT_OS;
}

/*
 * Divides what is set into what everybody may read and what not.  known is what
 * libpq would take anyhow, or NULL.
 */
static int
divide(struct plan *p, const PQconninfoOption *options, PQconninfoOption *known)
{
	int rc = EXIT_DONE;

	for (const PQconninfoOption *o = options;
	     rc == EXIT_DONE && o->keyword != NULL; o++) {
		if (o->val == NULL || strncmp(o->keyword, "service", 7) == 0)
			continue;
		if (pg_is_secret(o))
			rc = hide(p, o);
		else if (!is_same(o->val, value_of(known, o->keyword)))
			add_setting(&p->conninfo, o->keyword, o->val);
	}
	return rc == EXIT_DONE ? use_service(p) : rc;
}

/* With a service.  The one setting that is wrong in an answer is right in the
 * other. */
static int
divide_resolved(struct plan *p, const char *conninfo)
{
	PQconninfoOption *options = resolve(conninfo, "gssencmode");
	PQconninfoOption *other = NULL, *wrong, *right, *known;
	char *value;
	int rc = EXIT_CONFIG;

	if (options != NULL)
		other = resolve(conninfo, "sslmode");
	unsetenv("PGSERVICE");
	known = PQconndefaults();
	if (other != NULL) {
		wrong = find(options, "gssencmode");
		right = find(other, "gssencmode");
		value = wrong->val;
		wrong->val = right->val;
		right->val = value;
		rc = divide(p, options, known);
	}
	PQconninfoFree(known);
	PQconninfoFree(other);
	PQconninfoFree(options);
	return rc;
}

static bool
has_service(PQconninfoOption *parsed)
{
	const char *named = value_of(parsed, "service");

	if (named == NULL)
		named = getenv("PGSERVICE");
	return named != NULL;
}

static int
plan(struct plan *p, const char *conninfo)
{
	PQconninfoOption *parsed;
	int rc = EXIT_DONE;

	if (*conninfo == '\0')
		return EXIT_DONE;
	parsed = pg_parse(conninfo, NULL);
	if (parsed == NULL) {
		/* libpq's message repeats parts of it */
		log_error("invalid connection string");
		rc = EXIT_CONFIG;
	} else if (!pg_has_secret(conninfo)) {
		buf_adds(&p->conninfo, conninfo);
	} else if (has_service(parsed)) {
		rc = divide_resolved(p, conninfo);
	} else {
		rc = divide(p, parsed, NULL);
	}
	PQconninfoFree(parsed);
	return rc;
}

static int
run(const char *conninfo, char **argv, int argc)
{
	struct plan p = {BUF_INIT, BUF_INIT};
	char **args;
	int rc = plan(&p, conninfo), n = 0;

	if (rc != EXIT_DONE)
		return rc;
	args = calloc((size_t)argc + 3, sizeof(*args));
	if (args == NULL || buf_str(&p.conninfo) == NULL) {
		log_error("out of memory");
		return EXIT_OS;
	}
	args[n++] = argv[0];
	if (p.conninfo.len > 0) {
		args[n++] = "-d";
		args[n++] = p.conninfo.data;
	}
	memcpy(&args[n], &argv[1], (size_t)(argc - 1) * sizeof(*args));
	execvp(args[0], args);
	log_error("could not run \"%s\": %s", args[0], strerror(errno));
	return EXIT_CONFIG;
}

int
main(int argc, char **argv)
{
	bool ask = argc == 3 && strcmp(argv[1], "--has-secret") == 0;
	const char *variable = ask ? argv[2] : argv[1];
	char *conninfo;

	/* who calls us reads our errors as psql's */
	log_init("psql");
	if (argc < 3 || getenv(variable) == NULL) {
		log_error("usage: pg-exec VARIABLE PSQL [ARG ...]");
		return EXIT_USAGE;
	}
	if (ask)
		return pg_has_secret(getenv(variable)) ? 0 : 1;
	conninfo = strdup(getenv(variable));
	unsetenv(variable);
	unsetenv("PHILOTES_SOURCE_URL");
	unsetenv("PHILOTES_BUFFER_URL");
	if (conninfo == NULL) {
		log_error("out of memory");
		return EXIT_OS;
	}
	return run(conninfo, argv + 2, argc - 2);
}
