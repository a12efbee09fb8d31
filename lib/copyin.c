#include "copyin.h"

#include "copyrow.h"
#include "exitcode.h"
#include "log.h"
#include "lsn.h"
#include "num.h"
#include "store.h"

#define PIECE_BYTES 65536  /* of one CopyData: larger is slower */
#define COPY_ROWS   100000 /* of one COPY */
#define AHEAD       2      /* partitions to be there before a COPY begins */

static const char doing[] = "write to philotes.cdc_log";

static const char begin_copy[] = "COPY philotes.cdc_log (" COPYROW_IN
				 ") FROM STDIN (FORMAT binary)";

static int
ensure_partitions(struct copyin *c)
{
	return store_ensure_partitions(
	    c->conninfo, &c->partitions_end, &c->partition_width);
}

/* Before a COPY: are there partitions enough for ids from here on?  Others
 * draw ids too; one whole partition is left to them and us meanwhile. */
static int
look_ahead(struct copyin *c, int64_t id)
{
	if (id + AHEAD * c->partition_width <= c->partitions_end)
		return EXIT_DONE;
	return ensure_partitions(c);
}

int
copyin_init(struct copyin *c, struct pg *pg, const char *conninfo)
{
	c->pg = pg;
	c->conninfo = conninfo;
	return ensure_partitions(c);
}

void
copyin_source(
    struct copyin *c, struct view source, uint64_t commit_lsn, uint64_t seq)
{
	buf_clear(&c->source);
	buf_addv(&c->source, source);
	c->commit_lsn = commit_lsn;
	c->seq = seq;
}

/* Sends sql and waits for it; a COPY ends the wait. */
static int
run(struct copyin *c, const char *sql, PGresult **res)
{
	if (PQsendQuery(c->pg->conn, sql) == 0)
		return pg_failed(c->pg, doing, NULL);
	return pg_finish(c->pg, doing, res);
}

/* The answer of begin_write: write_no, first_id, commit_lsn, seq. */
static int
read_begin(struct copyin *c, const PGresult *res)
{
	uint64_t commit_lsn = 0, seq = 0;

	if (!num_parse_i64(pg_value(res, 0, 0), &c->write_no) ||
	    !num_parse_i64(pg_value(res, 0, 1), &c->first_id)) {
		log_error("could not begin to write: unexpected answer");
		return EXIT_BUG;
	}
	lsn_parse(pg_value(res, 0, 2), &commit_lsn);
	num_parse_u64(pg_value(res, 0, 3), &seq);
	if (commit_lsn == c->commit_lsn && seq == c->seq)
		return EXIT_DONE;
	log_error(
	    "could not write to the source \"%.*s\": another writer has, up "
	    "to (%s, %llu)",
	    VIEW_FMT(buf_view(&c->source)), lsn_text(commit_lsn).s,
	    (unsigned long long)seq);
	return EXIT_RETRY;
}

/* BEGIN, settings, lock and watermark in one round trip. */
static int
begin(struct copyin *c)
{
	struct buf sql = BUF_INIT;
	PGresult *res = NULL;
	int rc;

	buf_adds(&sql, store_begin);
	buf_adds(&sql, "SELECT * FROM philotes.begin_write(");
	pg_add_literal(c->pg, &sql, buf_view(&c->source));
	buf_addc(&sql, ')');
	if (buf_str(&sql) == NULL) {
		log_error("could not begin to write: out of memory");
		rc = EXIT_OS;
	} else {
		rc = run(c, sql.data, &res);
	}
	if (rc == EXIT_DONE)
		rc = read_begin(c, res);
	PQclear(res);
	buf_release(&sql);
	c->open = true;
	c->events = 0;
	return rc == EXIT_DONE ? look_ahead(c, c->first_id) : rc;
}

static int
start_copy(struct copyin *c)
{
	PGresult *res = NULL;
	int rc = run(c, begin_copy, &res);

	if (rc == EXIT_DONE && PQresultStatus(res) != PGRES_COPY_IN) {
		log_error("could not start COPY: unexpected answer");
		rc = EXIT_BUG;
	}
	PQclear(res);
	c->copying = true;
	c->in_copy = 0;
	copyrow_put_header(&c->rows);
	return rc;
}

static int
send_rows(struct copyin *c)
{
	int sent;

	if (c->rows.failed) {
		log_error("could not encode a row: out of memory");
		return EXIT_OS;
	}
	for (size_t done = 0; done < c->rows.len;) {
		size_t n = c->rows.len - done;

		if (n > PIECE_BYTES)
			n = PIECE_BYTES;
		sent = PQputCopyData(c->pg->conn, c->rows.data + done, (int)n);
		if (sent != 1)
			return pg_failed(c->pg, doing, NULL);
		done += n;
	}
	buf_clear(&c->rows);
	return EXIT_DONE;
}

static int
end_copy(struct copyin *c)
{
	PGresult *res = NULL;
	int rc;

	copyrow_put_trailer(&c->rows);
	rc = send_rows(c);
	c->copying = false;
	if (rc == EXIT_DONE && PQputCopyEnd(c->pg->conn, NULL) != 1)
		rc = pg_failed(c->pg, doing, NULL);
	if (rc == EXIT_DONE)
		rc = pg_finish(c->pg, doing, &res);
	PQclear(res);
	return rc;
}

/* A COPY sees no partition made after it began, so a long transaction goes
 * through several. */
static int
next_copy(struct copyin *c)
{
	int rc = end_copy(c);

	if (rc == EXIT_DONE)
		rc = look_ahead(c, c->first_id + (int64_t)c->events);
	return rc;
}

int
copyin_row(struct copyin *c, const struct event *e)
{
	int rc = EXIT_DONE;

	if (!c->open)
		rc = begin(c);
	if (rc == EXIT_DONE && c->copying && c->in_copy == COPY_ROWS)
		rc = next_copy(c);
	if (rc == EXIT_DONE && !c->copying)
		rc = start_copy(c);
	if (rc != EXIT_DONE)
		return rc;
	copyrow_put(&c->rows, e);
	c->in_copy++;
	c->events++;
	return c->rows.failed || c->rows.len >= PIECE_BYTES ? send_rows(c)
							    : EXIT_DONE;
}

static void
add_lsn(struct buf *sql, uint64_t lsn)
{
	if (lsn != 0)
		buf_addf(sql, ", '%s'", lsn_text(lsn).s);
	else
		buf_adds(sql, ", NULL");
}

static int
end(struct copyin *c, const struct copyin_mark *m)
{
	struct buf sql = BUF_INIT;
	PGresult *res = NULL;
	int rc;

	buf_adds(&sql, "SELECT philotes.end_write(");
	pg_add_literal(c->pg, &sql, buf_view(&c->source));
	buf_addf(&sql, ", %lld, %lld, %llu", (long long)c->write_no,
	    (long long)c->first_id, (unsigned long long)c->events);
	add_lsn(&sql, m->seq != 0 ? m->commit_lsn : 0);
	if (m->seq != 0)
		buf_addf(&sql, ", %llu", (unsigned long long)m->seq);
	else
		buf_adds(&sql, ", NULL");
	add_lsn(&sql, m->checkpoint);
	if (m->timeline != 0)
		buf_addf(&sql, ", %u", (unsigned)m->timeline);
	buf_adds(&sql, "); COMMIT");
	if (buf_str(&sql) == NULL) {
		log_error("could not commit: out of memory");
		rc = EXIT_OS;
	} else {
		rc = run(c, sql.data, &res);
	}
	if (rc == EXIT_DATA && pg_is_state(res, "23505")) {
		log_hint("Another writer has written this source.");
		rc = EXIT_RETRY;
	}
	PQclear(res);
	buf_release(&sql);
	return rc;
}

int
copyin_commit(struct copyin *c, const struct copyin_mark *m)
{
	int rc = EXIT_DONE;

	if (!c->open)
		rc = begin(c);
	if (rc == EXIT_DONE && c->copying)
		rc = end_copy(c);
	if (rc == EXIT_DONE)
		rc = end(c, m);
	c->open = false;
	if (rc == EXIT_DONE && m->seq != 0) {
		c->commit_lsn = m->commit_lsn;
		c->seq = m->seq;
	}
	return rc;
}

void
copyin_release(struct copyin *c)
{
	buf_release(&c->rows);
	buf_release(&c->source);
}
