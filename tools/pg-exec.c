/*
 * Runs psql for our scripts without showing secrets: psql takes a connection
 * string only as an argument, and everybody on the machine can read arguments.
 *
 *	pg-exec VARIABLE PSQL [ARG ...]
 *
 * runs PSQL with the connection string that the environment variable holds.  An
 * empty string is left out, and one without a secret is passed on after -d.  Of
 * any other, each secret goes into libpq's variable for it (PGPASSWORD) or, if
 * there is none, into a service file in memory; the rest is passed on after -d.
 * VARIABLE and PHILOTES_*_URL are removed from the environment of PSQL.
 *
 *	pg-exec --has-secret VARIABLE
 *
 * exits with 0 if the connection string has a secret, with 1 if not.
 *
 *	pg-exec --exit-code SQLSTATE
 *
 * exits with the code that the tools exit with after this error of a server.
 *
 * libpq takes a setting from the connection string, else from the service, else
 * from the environment.  The service would thus override a secret that moved
 * from the string into the environment.  So, if a service is used, its settings
 * are looked up here and passed on one by one, and PSQL does not see it.
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
#include "pg/pg.h"
#include "pg/pg_secret.h"

/* libpq 14 refuses slightly longer lines in a service file. */
#define LINE_BYTES 1000
#define SERVICE    "pg-exec"

/* The settings, apart from those that went into the environment. */
struct split {
	struct buf visible; /* the connection string after -d */
	struct buf service; /* secrets, as lines of a service file */
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
 * The settings that libpq would connect with, except `invalid`.  libpq looks up
 * a service only when it connects.  So we make it connect with an invalid value
 * for one setting, which it refuses when it has collected all settings, before
 * it opens anything.  NULL: it failed before that; its error is logged.
 */
static PQconninfoOption *
collect_but(const char *conninfo, const char *invalid)
{
	const char *const keywords[] = {"dbname", invalid, NULL};
	const char *const values[] = {conninfo, "?", NULL};
	PGconn *conn = PQconnectStartParams(keywords, values, 1);
	PQconninfoOption *options = PQconninfo(conn);

	if (!is_same(value_of(options, invalid), "?")) {
		log_error(
		    "%.*s", VIEW_FMT(view_first_line(PQerrorMessage(conn))));
		PQconninfoFree(options);
		options = NULL;
	}
	PQfinish(conn);
	return options;
}

/* All settings that libpq would connect with, or NULL. */
static PQconninfoOption *
collect(const char *conninfo)
{
	PQconninfoOption *options = collect_but(conninfo, "gssencmode");
	PQconninfoOption *other = NULL, *to, *from;
	char *value;

	if (options != NULL)
		other = collect_but(conninfo, "sslmode");
	if (other == NULL) {
		PQconninfoFree(options);
		return NULL;
	}
	to = find(options, "gssencmode");
	from = find(other, "gssencmode");
	value = to->val;
	to->val = from->val;
	from->val = value;
	PQconninfoFree(other);
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

/* Puts a secret into the environment or the service file. */
static int
hide(struct split *s, const PQconninfoOption *o)
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
	buf_addf(&s->service, "%s=%s\n", o->keyword, o->val);
	return EXIT_DONE;
}

/* A file in memory without a name, which only PSQL can open, by descriptor. */
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

/* Makes the service file and refers to it, if there is something in it. */
static int
use_service(struct split *s)
{
	struct buf whole = BUF_INIT;
	char path[32];
	int fd = -1;

	if (s->service.len == 0)
		return EXIT_DONE;
	buf_adds(&whole, "[" SERVICE "]\n");
	buf_addv(&whole, buf_view(&s->service));
	if (!whole.failed)
		fd = write_service(&whole);
	buf_release(&whole);
	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	add_setting(&s->visible, "service", SERVICE);
	if (fd >= 0 && setenv("PGSERVICEFILE", path, 1) == 0)
		return EXIT_DONE;
	log_error("could not make a service file: %s", strerror(errno));
	return EXIT_OS;
}

/* Splits the settings into secrets and visible ones, and leaves out visible
 * ones that libpq finds in `defaults`, which may be NULL. */
static int
split(struct split *s, const PQconninfoOption *options,
    PQconninfoOption *defaults)
{
	int rc = EXIT_DONE;

	for (const PQconninfoOption *o = options;
	     rc == EXIT_DONE && o->keyword != NULL; o++) {
		if (o->val == NULL || strncmp(o->keyword, "service", 7) == 0)
			continue;
		if (pg_is_secret(o))
			rc = hide(s, o);
		else if (!is_same(o->val, value_of(defaults, o->keyword)))
			add_setting(&s->visible, o->keyword, o->val);
	}
	return rc == EXIT_DONE ? use_service(s) : rc;
}

static bool
has_service(PQconninfoOption *parsed)
{
	return value_of(parsed, "service") != NULL ||
	    getenv("PGSERVICE") != NULL;
}

/* Splits the settings of the string and of its service, as libpq combines them.
 */
static int
split_with_service(struct split *s, const char *conninfo)
{
	PQconninfoOption *options = collect(conninfo), *defaults;
	int rc;

	if (options == NULL)
		return EXIT_CONFIG;
	unsetenv("PGSERVICE");
	defaults = PQconndefaults();
	rc = split(s, options, defaults);
	PQconninfoFree(defaults);
	PQconninfoFree(options);
	return rc;
}

static int
split_string(struct split *s, const char *conninfo)
{
	PQconninfoOption *parsed;
	int rc = EXIT_DONE;

	if (*conninfo == '\0')
		return EXIT_DONE;
	parsed = pg_parse(conninfo, NULL);
	if (parsed == NULL) {
		/* libpq's message repeats parts of the string */
		log_error("invalid connection string");
		rc = EXIT_CONFIG;
	} else if (!pg_has_secret(conninfo)) {
		buf_adds(&s->visible, conninfo);
	} else if (has_service(parsed)) {
		rc = split_with_service(s, conninfo);
	} else {
		rc = split(s, parsed, NULL);
	}
	PQconninfoFree(parsed);
	return rc;
}

static int
run(const char *conninfo, char **argv, int argc)
{
	struct split s = {BUF_INIT, BUF_INIT};
	char **args;
	int rc = split_string(&s, conninfo), n = 0;

	if (rc != EXIT_DONE)
		return rc;
	args = calloc((size_t)argc + 3, sizeof(*args));
	if (args == NULL || buf_str(&s.visible) == NULL) {
		log_error("out of memory");
		return EXIT_OS;
	}
	args[n++] = argv[0];
	if (s.visible.len > 0) {
		args[n++] = "-d";
		args[n++] = s.visible.data;
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

	/* the scripts read our errors as those of psql */
	log_init("psql");
	if (argc == 3 && strcmp(argv[1], "--exit-code") == 0)
		return pg_exit_code(argv[2]);
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
