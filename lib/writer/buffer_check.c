#include "writer/buffer_check.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/exitcode.h"
#include "base/fdio.h"
#include "base/findings.h"
#include "base/line.h"
#include "base/lsn.h"
#include "base/num.h"
#include "base/patience.h"
#include "base/signals.h"
#include "base/version.h"
#include "buffer/store.h"
#include "sql.h"
#include "stream/event_read.h"
#include "writer/gap.h"

#define LINE_BYTES ((size_t)1 << 20) /* limit of a start line */

struct check {
	struct findings found;
	struct pg pg;
	struct line_reader in;
	struct event_reader json;
};

static int
connect_buffer(struct check *c, const char *conninfo)
{
	const struct finding fine = {.check = "buffer"};
	int rc = store_connect(&c->pg, conninfo);

	if (rc == EXIT_DONE)
		findings_add(&c->found, &fine, "database \"%s\" as role \"%s\"",
		    PQdb(c->pg.conn), PQuser(c->pg.conn));
	else
		findings_add_logged(&c->found, "buffer", rc);
	return rc;
}

static int
look_at_schema(struct check *c)
{
	const struct finding fine = {.check = "schema"};
	int rc = store_check_schema(&c->pg);

	if (rc == EXIT_DONE)
		findings_add(&c->found, &fine, "version %d", PHILOTES_SCHEMA);
	else
		findings_add_logged(&c->found, "schema", rc);
	return rc;
}

static int
look_at_role(struct check *c)
{
	const struct finding fine = {.check = "role"};
	const struct finding f = {.check = "role",
	    .level = FINDING_ERROR,
	    .code = EXIT_NOPERM,
	    .hint = "Run roles.sql in the buffer, and grant the role "
		    "philotes_writer."};
	PGresult *res;
	int rc = pg_query(&c->pg, "look up the privileges of the role",
	    SQL_CHECK_ROLE, 0, NULL, &res);

	if (rc != EXIT_DONE)
		findings_add_logged(&c->found, "role", rc);
	else if (PQgetisnull(res, 0, 1))
		findings_add(&c->found, &fine,
		    "\"%.*s\" has the privileges of buffer-write",
		    VIEW_FMT(pg_value(res, 0, 0)));
	else
		findings_add(&c->found, &f,
		    "\"%.*s\" needs %.*s for buffer-write",
		    VIEW_FMT(pg_value(res, 0, 0)),
		    VIEW_FMT(pg_value(res, 0, 1)));
	PQclear(res);
	return rc != EXIT_DONE ? rc : c->found.rc;
}

/* A commit later than the server's clock: the clock was set back. */
static int
look_at_clock(struct check *c)
{
	const struct finding fine = {.check = "clock"};
	const struct finding f = {.check = "clock",
	    .level = FINDING_WARNING,
	    .hint = "Until the clock passes that commit again, the age of "
		    "waiting events is unknown."};
	PGresult *res;
	int rc = pg_query(&c->pg, "compare the clock with the last commit",
	    SQL_CHECK_CLOCK, 0, NULL, &res);

	if (rc != EXIT_DONE)
		findings_add_logged(&c->found, "clock", rc);
	else if (PQgetisnull(res, 0, 1))
		findings_add(
		    &c->found, &fine, "%.*s", VIEW_FMT(pg_value(res, 0, 0)));
	else
		findings_add(&c->found, &f,
		    "%.*s, %.*s s before the last commit: it was set back",
		    VIEW_FMT(pg_value(res, 0, 0)),
		    VIEW_FMT(pg_value(res, 0, 1)));
	PQclear(res);
	return rc;
}

/* The gap check */

static int
wait_for_line(bool *said)
{
	if (fdio_wait(STDIN_FILENO, POLLIN, *said ? -1 : PATIENCE_SAY_MS) != 0)
		return EXIT_DONE;
	if (signals_stop_requested()) {
		log_error("could not read \"stdin\": stopped");
		return EXIT_RETRY;
	}
	if (!*said)
		log_warning("waiting for a start line on stdin");
	*said = true;
	return EXIT_DONE;
}

/* Reads the first line; *text is NULL if there is none. */
static int
read_line(struct check *c, struct view *text)
{
	bool said = false;
	int rc = EXIT_DONE;

	*text = VIEW_NULL;
	if (isatty(STDIN_FILENO))
		return EXIT_DONE;
	line_init(&c->in, STDIN_FILENO, LINE_BYTES);
	while (rc == EXIT_DONE) {
		switch (line_next(&c->in, text)) {
		case LINE_DRY:
			rc = wait_for_line(&said);
			break;
		case LINE_ERROR:
			log_error(
			    "could not read \"stdin\": %s", strerror(errno));
			return errno == ENOMEM ? EXIT_OS : EXIT_IO;
		case LINE_EOF:
			*text = VIEW_NULL;
			return EXIT_DONE;
		case LINE_CUT:
			*text = VIEW_LIT("");
			return EXIT_DONE;
		default:
			return EXIT_DONE;
		}
	}
	return rc;
}

static int
compare(struct check *c, const struct stream_start *start)
{
	const struct finding fine = {.check = "position"};
	struct store_state state = {0};
	int rc = store_state(&c->pg, start->source_id, &state);

	if (rc == EXIT_DONE)
		rc = gap_look(&state, start);
	if (rc != EXIT_DONE)
		findings_add_logged(&c->found, "position", rc);
	else if (!state.has_checkpoint)
		findings_add(&c->found, &fine,
		    "the buffer has no checkpoint of \"%.*s\" yet",
		    VIEW_FMT(start->source_id));
	else
		findings_add(&c->found, &fine,
		    "slot \"%.*s\" at %s, checkpoint of \"%.*s\" at %s",
		    VIEW_FMT(start->slot), lsn_text(start->lsn).s,
		    VIEW_FMT(start->source_id), lsn_text(state.checkpoint).s);
	store_state_release(&state);
	return rc;
}

static int
look_at_position(struct check *c)
{
	const struct finding f = {.check = "position",
	    .level = FINDING_WARNING,
	    .hint = "pg-cdc-read --start-line prints one."};
	struct stream_line line = {0};
	struct line_error e = {0};
	struct view text;
	int rc = read_line(c, &text);

	if (rc != EXIT_DONE)
		findings_add_logged(&c->found, "position", rc);
	if (rc != EXIT_DONE || text.p == NULL)
		return rc;
	if (event_read(&c->json, text, &line, &e) && line.kind == LINE_START)
		return compare(c, &line.start);
	findings_add(&c->found, &f,
	    "not checked: the first line on stdin is not a start line");
	return EXIT_DONE;
}

int
buffer_check(const char *conninfo)
{
	struct check c = {0};
	int rc;

	findings_begin(&c.found);
	rc = connect_buffer(&c, conninfo);
	if (rc == EXIT_DONE)
		rc = look_at_schema(&c);
	if (rc == EXIT_DONE)
		rc = look_at_role(&c);
	if (rc == EXIT_DONE)
		rc = look_at_clock(&c);
	if (rc == EXIT_DONE)
		look_at_position(&c);
	pg_close(&c.pg);
	event_reader_release(&c.json);
	line_release(&c.in);
	return findings_end(&c.found);
}
