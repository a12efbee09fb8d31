/*
 * XLogData   'w' int64 start, int64 end, int64 time, byte data[]
 * Keepalive  'k' int64 end, int64 time, int8 reply-wanted
 * Status     'r' int64 written, int64 flushed, int64 applied, int64 time,
 *                int8 reply-wanted
 */
#include "reader/walsender.h"

#include <poll.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/exitcode.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/lsn.h"
#include "reader/source.h"

#define LOST_PUBLICATION \
	"The publication was dropped, or created after changes that the slot " \
	"still has to send, which the server cannot decode without it.  Drop " \
	"both with pg-cdc-read --drop, create them again with --create, and " \
	"run buffer-write once with --accept-gap."

#define XLOGDATA_BYTES  25
#define KEEPALIVE_BYTES 18
#define STATUS_BYTES    34

int
walsender_open(struct walsender *s, const char *conninfo)
{
	return source_connect_walsender(&s->pg, conninfo);
}

void
walsender_close(struct walsender *s)
{
	PQfreemem(s->message);
	s->message = NULL;
	pg_close(&s->pg);
}

/* A string literal for a replication command.  The grammar of these commands
 * has no E'' strings, and a backslash stands for itself. */
static void
add_plain_literal(struct buf *b, struct view text)
{
	buf_addc(b, '\'');
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\'')
			buf_addc(b, '\'');
		buf_addc(b, text.p[i]);
	}
	buf_addc(b, '\'');
}

/* The message is "skipped loading publication \"p\"", perhaps translated. */
bool
walsender_skips(const PGresult *notice, const char *publication)
{
	const char *primary = PQresultErrorField(
	    notice, PG_DIAG_MESSAGE_PRIMARY);

	return primary != NULL && pg_is_state(notice, "55000") &&
	    strstr(primary, publication) != NULL;
}

/* A notice arrives before the changes that it is about. */
static void
on_notice(void *arg, const PGresult *res)
{
	struct walsender *s = arg;
	const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

	if (primary != NULL)
		log_info("the server says: %s", primary);
	s->unpublished = s->unpublished || walsender_skips(res, s->publication);
}

static int
refuse_unpublished_changes(const struct walsender *s)
{
	log_error("could not continue replication: the publication \"%s\" "
		  "does not exist at the WAL position of slot \"%s\"",
	    s->publication, s->slot);
	log_hint(LOST_PUBLICATION);
	return EXIT_CONFIG;
}

int
walsender_start(struct walsender *s, const char *slot, const char *publication,
    uint64_t lsn)
{
	struct buf sql = BUF_INIT, name = BUF_INIT;
	PGresult *res;
	int rc;

	/* publication_names is a list of identifiers in a string literal */
	pg_add_identifier(&s->pg, &name, view_of(publication));
	buf_adds(&sql, "START_REPLICATION SLOT ");
	pg_add_identifier(&s->pg, &sql, view_of(slot));
	buf_addf(&sql, " LOGICAL %s (proto_version '1', publication_names ",
	    lsn_text(lsn).s);
	add_plain_literal(&sql, buf_view(&name));
	/* always, because messages count in seq, printed or not */
	buf_adds(&sql, ", messages 'true')");
	if (buf_str(&sql) == NULL || name.failed) {
		log_error("could not start replication: out of memory");
		rc = EXIT_OS;
	} else {
		s->slot = slot;
		s->publication = publication;
		PQsetNoticeReceiver(s->pg.conn, on_notice, s);
		rc = pg_query(
		    &s->pg, "start replication", sql.data, 0, NULL, &res);
		if (rc != EXIT_DONE && pg_is_state(res, "55000"))
			rc = EXIT_OPERATOR; /* invalidated */
		PQclear(res);
	}
	buf_release(&sql);
	buf_release(&name);
	return rc;
}

static int
parse(struct walsender_message *m, struct view raw)
{
	if (raw.n >= XLOGDATA_BYTES && raw.p[0] == 'w') {
		m->kind = WALSENDER_DATA;
		m->lsn = bytes_load(raw.p + 1, 8);
		m->time = (int64_t)bytes_load(raw.p + 17, 8);
		m->data = (struct view){
		    raw.p + XLOGDATA_BYTES, raw.n - XLOGDATA_BYTES};
		return EXIT_DONE;
	}
	if (raw.n == KEEPALIVE_BYTES && raw.p[0] == 'k') {
		m->kind = WALSENDER_KEEPALIVE;
		m->lsn = bytes_load(raw.p + 1, 8);
		m->reply_wanted = raw.p[17] != 0;
		return EXIT_DONE;
	}
	log_error("could not read a replication message: unexpected type "
		  "0x%02x or length %zu",
	    raw.n > 0 ? (unsigned)(unsigned char)raw.p[0] : 0, raw.n);
	return EXIT_PROTOCOL;
}

/*
 * The WAL position that the output plugin failed at: the last LSN in the
 * error's context, which has the line "slot \"s\", output plugin \"pgoutput\",
 * in the change callback, associated LSN 0/1A2B3C4"
 * (output_plugin_error_callback in the server's logical.c), perhaps translated.
 * 0: there is none.
 */
static uint64_t
decoded_at(const PGresult *res)
{
	const char *p = PQresultErrorField(res, PG_DIAG_CONTEXT);
	uint64_t lsn, found = 0;

	for (p = p != NULL ? p : ""; *p != '\0'; p += *p != '\0') {
		size_t n = strcspn(p, " ,\n");

		if (lsn_parse((struct view){p, n}, &lsn))
			found = lsn;
		p += n;
	}
	return found;
}

/* Errors in a change, or in the WAL itself, recur at each attempt. */
static bool
is_permanent(const char *state)
{
	static const char *const classes[] = {"22", "54", "58", "XX"};

	for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++) {
		if (strncmp(state, classes[i], 2) == 0)
			return true;
	}
	return false;
}

static int
cannot_send(const struct walsender *s, const PGresult *res)
{
	const char *schema = PQresultErrorField(res, PG_DIAG_SCHEMA_NAME);
	const char *table = PQresultErrorField(res, PG_DIAG_TABLE_NAME);
	uint64_t lsn = decoded_at(res);
	struct buf where = BUF_INIT;

	if (lsn != 0)
		buf_addf(&where, " at %s", lsn_text(lsn).s);
	if (table != NULL)
		buf_addf(&where, " of \"%s\".\"%s\"",
		    schema != NULL ? schema : "", table);
	log_error("could not read the change%.*s from slot \"%s\": the server "
		  "cannot send it: %s",
	    VIEW_FMT(buf_view(&where)), s->slot,
	    PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));
	log_hint("The server's log may say why.  To skip the change, move the "
		 "slot past its commit with pg_replication_slot_advance(), and "
		 "run buffer-write once with --accept-gap.");
	buf_release(&where);
	return EXIT_OPERATOR;
}

static int
lost(struct walsender *s)
{
	strcpy(s->failure, "lost");
	return pg_failed(&s->pg, "read from the source", NULL);
}

/* Operator interventions (class 57) and lack of resources (53) are temporary
 * and do not count as failures of the stream. */
static void
note_failure(struct walsender *s, const char *state)
{
	if (strncmp(state, "53", 2) != 0 && strncmp(state, "57", 2) != 0)
		snprintf(s->failure, sizeof(s->failure), "%s", state);
}

/* The server ended the stream, with an error or without. */
static int
ended(struct walsender *s)
{
	static const char doing[] = "continue replication";
	PGresult *res = PQgetResult(s->pg.conn); /* has arrived: no wait */
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	int rc;

	if (PQresultStatus(res) != PGRES_FATAL_ERROR) {
		log_error("could not %s: the server ended the stream", doing);
		rc = EXIT_RETRY;
	} else if (state != NULL && is_permanent(state)) {
		rc = cannot_send(s, res);
	} else {
		rc = pg_failed(&s->pg, doing, res);
	}
	if (state != NULL)
		note_failure(s, state);
	if (pg_is_state(res, "55000"))
		rc = EXIT_OPERATOR;
	if (pg_is_state(res, "42704"))
		log_hint(LOST_PUBLICATION);
	PQclear(res);
	return rc;
}

int
walsender_next(struct walsender *s, struct walsender_message *m)
{
	int n;

	*m = (struct walsender_message){.kind = WALSENDER_DRY};
	PQfreemem(s->message);
	s->message = NULL;
	n = PQgetCopyData(s->pg.conn, &s->message, 1);
	if (n == 0) {
		if (PQconsumeInput(s->pg.conn) == 0)
			return lost(s);
		n = PQgetCopyData(s->pg.conn, &s->message, 1);
	}
	if (s->unpublished)
		return refuse_unpublished_changes(s);
	if (n > 0)
		return parse(m, (struct view){s->message, (size_t)n});
	if (n == 0)
		return EXIT_DONE;
	if (n == -1)
		return ended(s);
	return lost(s);
}

int
walsender_flush(struct walsender *s)
{
	int left = PQflush(s->pg.conn);

	if (left < 0)
		return pg_failed(&s->pg, "send feedback to the source", NULL);
	s->unsent = left > 0;
	return EXIT_DONE;
}

int
walsender_feedback(
    struct walsender *s, uint64_t received, uint64_t durable, bool answer)
{
	char status[STATUS_BYTES] = {'r'};

	bytes_store(status + 1, received, 8);
	bytes_store(status + 9, durable, 8);
	bytes_store(status + 17, durable, 8);
	bytes_store(status + 25, (uint64_t)clock_pg(), 8);
	status[33] = answer ? 1 : 0;
	if (PQputCopyData(s->pg.conn, status, STATUS_BYTES) < 0)
		return pg_failed(&s->pg, "send feedback to the source", NULL);
	return walsender_flush(s);
}

/* Reads and drops the rest of the stream.  None of it was confirmed, so the
 * next run gets it again. */
static void
drop_rest(struct walsender *s, int64_t deadline)
{
	int n = 0;

	while (n >= 0 && clock_ms() < deadline) {
		PQfreemem(s->message);
		s->message = NULL;
		n = PQgetCopyData(s->pg.conn, &s->message, 1);
		if (n != 0)
			continue;
		fdio_wait(PQsocket(s->pg.conn),
		    (short)(s->unsent ? POLLIN | POLLOUT : POLLIN),
		    clock_left(deadline));
		if (walsender_flush(s) != EXIT_DONE ||
		    PQconsumeInput(s->pg.conn) == 0)
			return;
	}
}

int
walsender_end(struct walsender *s)
{
	int rc;

	if (PQputCopyEnd(s->pg.conn, NULL) < 0)
		return pg_failed(&s->pg, "end replication", NULL);
	rc = walsender_flush(s);
	/* lets the server end the stream too; not needed for correctness */
	if (rc == EXIT_DONE)
		drop_rest(s, clock_ms() + STOP_GRACE_MS);
	return rc;
}
