#include "gc/gcreport.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "base/text.h"
#include "pg/pg.h"

/* The columns of gc_held.sql. */
enum { SOURCE, CONSUMER, WAITING, SINCE, YOUNG, LATER, DEAD };

static bool
is(const PGresult *held, int row, int column, const char *text)
{
	return strcmp(PQgetvalue(held, row, column), text) == 0;
}

static void
add_reason(
    struct buf *b, const PGresult *held, int row, int column, const char *why)
{
	if (!is(held, row, column, "0"))
		buf_addf(b, "; %s %s", PQgetvalue(held, row, column), why);
}

static void
add_source(struct buf *b, const PGresult *held, int row)
{
	buf_adds(b, "source \"");
	text_add_line(b, pg_value(held, row, SOURCE));
	buf_adds(b, "\": some stay");
	if (PQgetisnull(held, row, CONSUMER)) {
		add_reason(
		    b, held, row, WAITING, "wait, no consumer is registered");
	} else if (!is(held, row, WAITING, "0")) {
		buf_addf(b, "; %s wait for consumer \"",
		    PQgetvalue(held, row, WAITING));
		text_add_line(b, pg_value(held, row, CONSUMER));
		buf_addf(b, "\", since %s", PQgetvalue(held, row, SINCE));
	}
	add_reason(
	    b, held, row, YOUNG, "were processed less than the retention ago");
	add_reason(b, held, row, LATER, "are after a partition that stays");
	buf_addc(b, '\n');
}

static void
add_text(struct buf *b, const struct gc_result *r, const PGresult *held)
{
	const char *would = r->dry_run ? "would " : "";

	buf_addf(b, "%s%s %llu events, %s%s %llu partitions", would,
	    r->dry_run ? "delete" : "deleted", (unsigned long long)r->events,
	    would, r->dry_run ? "drop" : "dropped",
	    (unsigned long long)r->partitions);
	if (r->busy > 0)
		buf_addf(b, ", left %llu in use", (unsigned long long)r->busy);
	buf_addc(b, '\n');
	for (int row = 0; r->dry_run && row < PQntuples(held); row++) {
		/* a source's first row is the consumer that holds most */
		if (row == 0 ||
		    !is(held, row, SOURCE, PQgetvalue(held, row - 1, SOURCE)))
			add_source(b, held, row);
	}
}

static void
add_member(struct buf *b, const PGresult *held, int row, int column)
{
	buf_addf(b, "\"%s\":", PQfname(held, column));
	if (PQgetisnull(held, row, column))
		buf_adds(b, "null");
	else if (column == DEAD)
		buf_adds(b, is(held, row, DEAD, "t") ? "true" : "false");
	else if (column == WAITING || column == YOUNG || column == LATER)
		buf_adds(b, PQgetvalue(held, row, column));
	else
		text_add_json(b, pg_value(held, row, column));
}

static void
add_json(struct buf *b, const struct gc_result *r, const PGresult *held)
{
	buf_addf(b,
	    "{\"dry_run\":%s,\"events\":%llu,\"partitions\":%llu,"
	    "\"busy\":%llu,\"held\":[",
	    r->dry_run ? "true" : "false", (unsigned long long)r->events,
	    (unsigned long long)r->partitions, (unsigned long long)r->busy);
	for (int row = 0; row < PQntuples(held); row++) {
		buf_addc(b, row > 0 ? ',' : '{');
		if (row > 0)
			buf_addc(b, '{');
		for (int column = SOURCE; column <= DEAD; column++) {
			if (column > SOURCE)
				buf_addc(b, ',');
			add_member(b, held, row, column);
		}
		buf_addc(b, '}');
	}
	buf_adds(b, "]}\n");
}

static void
warn_of_dead(const PGresult *held)
{
	for (int row = 0; row < PQntuples(held); row++) {
		if (is(held, row, DEAD, "t"))
			log_warning("consumer \"%s\" holds %s events of "
				    "source \"%s\", the oldest from %s",
			    PQgetvalue(held, row, CONSUMER),
			    PQgetvalue(held, row, WAITING),
			    PQgetvalue(held, row, SOURCE),
			    PQgetvalue(held, row, SINCE));
	}
}

int
gcreport_print(const struct gc_result *r, const PGresult *held)
{
	struct buf b = BUF_INIT;
	int rc = EXIT_DONE;

	warn_of_dead(held);
	if (log_is_json())
		add_json(&b, r, held);
	else
		add_text(&b, r, held);
	if (b.failed) {
		log_error("could not print the report: out of memory");
		rc = EXIT_OS;
	} else if (fwrite(b.data, 1, b.len, stdout) != b.len ||
	    fflush(stdout) != 0) {
		log_error("could not write \"stdout\": %s", strerror(errno));
		rc = EXIT_IO;
	}
	buf_release(&b);
	return rc;
}
