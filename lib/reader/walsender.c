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
#include "base/num.h"
#include "pg/pg_connect.h"
#include "pg/pg_remedy.h"
#include "sql.h"

#define LOST_PUBLICATION \
	"The publication was dropped, or made after changes that the slot " \
	"has still to send, which can then not be read.  Drop both with " \
	"pg-cdc-read --drop, make them anew, and accept the gap in " \
	"buffer-write."

#define XLOGDATA_BYTES  25
#define KEEPALIVE_BYTES 18
#define STATUS_BYTES    34

int
walsender_open(struct walsender *s, const char *conninfo)
{
	const struct pg_target target = {"source", conninfo, true};
	int rc = pg_connect(&s->pg, &target);

	if (rc == EXIT_DONE)
		rc = pg_query(&s->pg, "set up the session on the source",
		    SQL_SESSION_SOURCE, 0, NULL, NULL);
	return rc;
}

void
walsender_close(struct walsender *s)
{
	PQfreemem(s->message);
	s->message = NULL;
	pg_close(&s->pg);
}

/* A timeline history file: lines "TIMELINE<tab>SWITCH-POINT<tab>REASON". */
static void
add_history(struct buf *b, struct view file)
{
	while (file.n > 0) {
		const char *nl = memchr(file.p, '\n', file.n);
		size_t n = nl != NULL ? (size_t)(nl - file.p) : file.n;
		struct view line = {file.p, n}, timeline = {file.p, 0};
		uint64_t number, lsn;

		file = (struct view){
		    file.p + n + (nl != NULL), file.n - n - (nl != NULL)};
		while (timeline.n < line.n && line.p[timeline.n] != '\t')
			timeline.n++;
		if (timeline.n == line.n || !num_parse_u64(timeline, &number))
			continue;
		line = (struct view){
		    line.p + timeline.n + 1, line.n - timeline.n - 1};
		for (n = 0; n < line.n && line.p[n] != '\t';)
			n++;
		if (!lsn_parse((struct view){line.p, n}, &lsn))
			continue;
		buf_addf(b, "%s[%u,\"%s\"]", b->len > 1 ? "," : "",
		    (unsigned)number, lsn_text(lsn).s);
	}
}

static int
get_history(struct walsender *s, struct walsender_system *sys)
{
	char sql[40];
	PGresult *res;
	size_t n;
	unsigned char *file;
	int rc;

	buf_clear(&sys->history);
	buf_addc(&sys->history, '[');
	if (sys->timeline > 1) {
		snprintf(sql, sizeof(sql), "TIMELINE_HISTORY %u",
		    (unsigned)sys->timeline);
		rc = pg_query(&s->pg, "read the source's timeline history", sql,
		    0, NULL, &res);
		if (rc != EXIT_DONE) {
			PQclear(res);
			return rc;
		}
		file = (unsigned char *)PQgetvalue(res, 0, 1);
		n = (size_t)PQgetlength(res, 0, 1);
		add_history(
		    &sys->history, (struct view){(const char *)file, n});
		PQclear(res);
	}
	buf_addc(&sys->history, ']');
	return EXIT_DONE;
}

static int
get_timeout(struct walsender *s, int64_t *ms)
{
	PGresult *res;
	int rc = pg_query(&s->pg, "read the settings of the source",
	    "SELECT setting FROM pg_catalog.pg_settings "
	    "WHERE name = 'wal_sender_timeout'",
	    0, NULL, &res);

	*ms = 0;
	if (rc == EXIT_DONE && PQntuples(res) == 1)
		num_parse_i64(pg_value(res, 0, 0), ms);
	PQclear(res);
	return rc;
}

int
walsender_identify(struct walsender *s, struct walsender_system *sys)
{
	PGresult *res;
	uint64_t timeline = 0;
	int rc = pg_query(
	    &s->pg, "identify the source", "IDENTIFY_SYSTEM", 0, NULL, &res);

	if (rc == EXIT_DONE &&
	    (PQntuples(res) != 1 ||
		!num_parse_u64(pg_value(res, 0, 1), &timeline) ||
		!lsn_parse(pg_value(res, 0, 2), &sys->flush))) {
		log_error("could not identify the source: unexpected answer");
		rc = EXIT_PROTOCOL;
	}
	/* some poolers take no notice of "replication", and the server behind
	 * them does not know the command then */
	if (rc != EXIT_DONE && pg_is_state(res, "42601")) {
		pg_remedy_pooler();
		rc = EXIT_CONFIG;
	}
	if (rc == EXIT_DONE) {
		sys->timeline = (uint32_t)timeline;
		buf_clear(&sys->system_id);
		buf_addv(&sys->system_id, pg_value(res, 0, 0));
	}
	PQclear(res);
	if (rc == EXIT_DONE)
		rc = get_history(s, sys);
	if (rc == EXIT_DONE)
		rc = get_timeout(s, &sys->timeout_ms);
	return rc;
}

void
walsender_system_release(struct walsender_system *sys)
{
	buf_release(&sys->system_id);
	buf_release(&sys->history);
}

/* The wanted tables as VALUES of a CTE in front of the query. */
static void
add_wanted(struct walsender *s, struct buf *sql, const struct table_list *l)
{
	buf_adds(sql, "WITH RECURSIVE wanted (schema, name) AS (VALUES ");
	for (size_t i = 0; i < l->n; i++) {
		buf_adds(sql, i == 0 ? "(" : ", (");
		pg_add_literal(&s->pg, sql, l->names[i].schema);
		buf_adds(sql, "::text, ");
		pg_add_literal(&s->pg, sql, l->names[i].table);
		buf_adds(sql, "::text)");
	}
	buf_adds(sql, "), published (name) AS (SELECT ");
}

/* Rows without a table are names that match nothing. */
static int
refuse_unpublished(const PGresult *res, const char *publication)
{
	for (int i = 0; i < PQntuples(res); i++) {
		if (PQgetisnull(res, i, 2))
			continue;
		log_error("could not read \"%.*s\".\"%.*s\": the publication "
			  "\"%s\" does not have it",
		    VIEW_FMT(pg_value(res, i, 0)),
		    VIEW_FMT(pg_value(res, i, 1)), publication);
		log_hint("Take it off the list, or let the publication's owner "
			 "run ALTER PUBLICATION ... ADD TABLE.");
		return EXIT_CONFIG;
	}
	return EXIT_DONE;
}

int
walsender_left_out(struct walsender *s, const char *publication,
    const struct table_list *tables, PGresult **res)
{
	static const char doing[] = "look up the published tables";
	struct buf sql = BUF_INIT;
	int rc;

	add_wanted(s, &sql, tables);
	pg_add_literal(&s->pg, &sql, view_of(publication));
	buf_adds(&sql, "::name) " SQL_LEFT_OUT);
	if (buf_str(&sql) == NULL) {
		log_error("could not %s: out of memory", doing);
		rc = EXIT_OS;
	} else {
		rc = pg_query(&s->pg, doing, sql.data, 0, NULL, res);
	}
	buf_release(&sql);
	return rc == EXIT_DONE ? refuse_unpublished(*res, publication) : rc;
}

/* A literal of the replication commands, whose grammar has no E'' strings and
 * takes a backslash for itself. */
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

/* "skipped loading publication \"p\"", perhaps in another language. */
bool
walsender_skips(const PGresult *notice, const char *publication)
{
	const char *primary = PQresultErrorField(
	    notice, PG_DIAG_MESSAGE_PRIMARY);

	return primary != NULL && pg_is_state(notice, "55000") &&
	    strstr(primary, publication) != NULL;
}

/* It comes before what is sent next. */
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
	log_error("could not go on with replication: the publication \"%s\" "
		  "does not exist where slot \"%s\" is in the WAL",
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

	/* the option is a list of identifiers inside a literal */
	pg_add_identifier(&s->pg, &name, view_of(publication));
	buf_adds(&sql, "START_REPLICATION SLOT ");
	pg_add_identifier(&s->pg, &sql, view_of(slot));
	buf_addf(&sql, " LOGICAL %s (proto_version '1', publication_names ",
	    lsn_text(lsn).s);
	add_plain_literal(&sql, buf_view(&name));
	/* always, since they count in a transaction's sequence */
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
	log_error("could not read a replication message: of type 0x%02x and "
		  "%zu bytes",
	    raw.n > 0 ? (unsigned)(unsigned char)raw.p[0] : 0, raw.n);
	return EXIT_PROTOCOL;
}

/*
 * Where in the WAL the output plugin was: "slot \"s\", output plugin
 * \"pgoutput\", in the change callback, associated LSN 0/1A2B3C4" is a line of
 * the context (output_plugin_error_callback in the server's logical.c), perhaps
 * in another language.  0: it does not say.
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

/* What is wrong with the WAL, or with a change in it, is so each time. */
static bool
is_for_ever(const char *state)
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
	log_hint("The server's log may say why.  To go on without it, move the "
		 "slot past its commit with pg_replication_slot_advance(), and "
		 "accept the gap in buffer-write.");
	buf_release(&where);
	return EXIT_OPERATOR;
}

/* The connection has failed us. */
static int
lost(struct walsender *s)
{
	strcpy(s->failure, "lost");
	return pg_failed(&s->pg, "read from the source", NULL);
}

/* Operators and a lack of resources (classes 57 and 53) are of the moment. */
static void
note_failure(struct walsender *s, const char *state)
{
	if (strncmp(state, "53", 2) != 0 && strncmp(state, "57", 2) != 0)
		snprintf(s->failure, sizeof(s->failure), "%s", state);
}

/* The server ended the stream: its reason, or its plain end. */
static int
ended(struct walsender *s)
{
	static const char doing[] = "go on with replication";
	PGresult *res = PQgetResult(s->pg.conn); /* it has arrived */
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	int rc;

	if (PQresultStatus(res) != PGRES_FATAL_ERROR) {
		log_error("could not %s: the server ended it", doing);
		rc = EXIT_RETRY;
	} else if (state != NULL && is_for_ever(state)) {
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

/* What the server had on its way is read and dropped: it is sent again. */
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
	/* that the server says goodbye too is a courtesy */
	if (rc == EXIT_DONE)
		drop_rest(s, clock_ms() + STOP_GRACE_MS);
	return rc;
}
