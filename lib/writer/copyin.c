#include "writer/copyin.h"

#include <poll.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/num.h"
#include "buffer/copyrow.h"
#include "buffer/pooler.h"
#include "buffer/store.h"

#define PIECE_BYTES 65536 /* of a CopyData message: larger ones are slower */
#define COPY_ROWS   50000 /* most rows in one COPY */
#define COPY_MS     1000  /* longest time from its start to its end */
#define AHEAD       2     /* empty partitions when a COPY begins */

static const char doing[] = "write to philotes.cdc_log";

int
copyin_init(struct copyin *c, struct pg *pg, const char *conninfo)
{
	c->pg = pg;
	c->conninfo = conninfo;
	return store_ensure_partitions(
	    conninfo, &c->partitions_end, &c->partition_width);
}

void
copyin_source(
    struct copyin *c, struct view source, const struct copyin_mark *known)
{
	buf_clear(&c->source);
	buf_addv(&c->source, source);
	c->known = *known;
}

bool
copyin_takes(const struct copyin *c)
{
	return !c->closing && c->count == 0;
}

void
copyin_rows(struct copyin *c, struct buf *rows, size_t n, uint64_t count)
{
	if (n == rows->len) {
		struct buf empty = c->rows;

		c->rows = *rows;
		*rows = empty;
		buf_clear(rows);
	} else {
		buf_add(&c->rows, rows->data, n);
		buf_consume(rows, n);
	}
	c->count = count;
	c->events += count;
	c->bytes += n + count * COPYROW_LINE;
}

void
copyin_commit(struct copyin *c, const struct copyin_mark *mark)
{
	c->mark = *mark;
	c->closing = true;
}

/* To the server */

static int
send(struct copyin *c, struct buf *sql, enum copyin_state next)
{
	int rc = EXIT_DONE;

	if (buf_str(sql) == NULL) {
		log_error("could not %s: out of memory", doing);
		rc = EXIT_OS;
	} else if (PQsendQuery(c->pg->conn, sql->data) == 0) {
		rc = pg_failed(c->pg, doing, NULL);
	}
	buf_release(sql);
	c->state = next;
	pg_await(c->pg);
	return rc;
}

/* Begins the transaction, pins its settings, locks the source and reads the
 * watermark, in one round trip. */
static int
send_begin(struct copyin *c)
{
	struct buf sql = BUF_INIT;

	buf_adds(&sql, store_begin);
	buf_adds(
	    &sql, "SELECT b.*, pg_backend_pid() FROM philotes.begin_write(");
	pg_add_literal(c->pg, &sql, buf_view(&c->source));
	buf_adds(&sql, ") b");
	c->in_copy = 0;
	return send(c, &sql, COPYIN_BEGIN);
}

/* Draws an id, to learn how many ids other writers have drawn meanwhile. */
static int
send_look(struct copyin *c)
{
	struct buf sql = BUF_INIT;

	buf_adds(&sql, "SELECT nextval('philotes.cdc_log_id_seq')");
	return send(c, &sql, COPYIN_LOOK);
}

/* Creates partitions if there are not enough for ids from this one on. */
static int
look_ahead(struct copyin *c, int64_t id)
{
	if (id + AHEAD * c->partition_width <= c->partitions_end)
		return EXIT_DONE;
	return store_ensure_partitions(
	    c->conninfo, &c->partitions_end, &c->partition_width);
}

static int
send_copy(struct copyin *c, int64_t id)
{
	struct buf sql = BUF_INIT;
	int rc = look_ahead(c, id);

	if (rc != EXIT_DONE)
		return rc;
	buf_adds(&sql,
	    "COPY philotes.cdc_log (" COPYROW_IN
	    ") FROM STDIN (FORMAT binary)");
	return send(c, &sql, COPYIN_START);
}

static int
put(struct copyin *c, struct view bytes)
{
	if (PQputCopyData(c->pg->conn, bytes.p, (int)bytes.n) != 1)
		return pg_failed(c->pg, doing, NULL);
	return EXIT_DONE;
}

static int
put_part(struct copyin *c, void (*part)(struct buf *))
{
	struct buf b = BUF_INIT;
	int rc = EXIT_OS;

	part(&b);
	if (b.failed)
		log_error("could not %s: out of memory", doing);
	else
		rc = put(c, buf_view(&b));
	buf_release(&b);
	return rc;
}

static int
send_end(struct copyin *c)
{
	int rc = put_part(c, copyrow_put_trailer);

	if (rc == EXIT_DONE && PQputCopyEnd(c->pg->conn, NULL) != 1)
		rc = pg_failed(c->pg, doing, NULL);
	c->state = COPYIN_END;
	pg_await(c->pg);
	return rc;
}

/* The line says of which table it is; ids that come are beyond the last one that
 * was drawn. */
static int
send_schema(struct copyin *c)
{
	struct buf sql = BUF_INIT;

	buf_adds(&sql,
	    "INSERT INTO philotes.cdc_schemas (source_id, schema_name, "
	    "table_name, from_id, schema, definition) SELECT ");
	pg_add_literal(c->pg, &sql, buf_view(&c->source));
	buf_adds(&sql,
	    ", d->>'schema_name', d->>'table_name', "
	    "currval('philotes.cdc_log_id_seq') + 1, d->>'schema', d FROM "
	    "(SELECT ");
	pg_add_literal(c->pg, &sql, buf_view(&c->schema));
	buf_adds(&sql, "::json) s (d)");
	buf_clear(&c->schema);
	return send(c, &sql, COPYIN_SCHEMA);
}

static void
add_lsn(struct buf *sql, uint64_t lsn)
{
	if (lsn != 0)
		buf_addf(sql, ", '%s'", lsn_text(lsn).s);
	else
		buf_adds(sql, ", NULL");
}

/* Keeps what the marks of snapshots say. */
static void
add_marks(struct copyin *c, struct buf *sql)
{
	if (c->marks.len == 0)
		return;
	buf_adds(sql, "; SELECT philotes.keep_marks(");
	pg_add_literal(c->pg, sql, buf_view(&c->source));
	buf_adds(sql, ", ");
	pg_add_literal(c->pg, sql, buf_view(&c->marks));
	buf_adds(sql, ")");
	buf_clear(&c->marks);
}

static int
send_commit(struct copyin *c)
{
	const struct copyin_mark *m = &c->mark;
	struct buf sql = BUF_INIT;

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
	buf_addf(&sql, ", bytes => %llu)", (unsigned long long)c->bytes);
	add_marks(c, &sql);
	buf_adds(&sql, "; COMMIT");
	return send(c, &sql, COPYIN_COMMIT);
}

/* Sends rows as far as the socket takes them, then ends the COPY if it is due.
 * *moved: the state has changed. */
static int
send_rows(struct copyin *c, bool *moved)
{
	int flushed = 0, rc = EXIT_DONE;

	while (rc == EXIT_DONE && c->sent < c->rows.len) {
		size_t n = c->rows.len - c->sent;

		flushed = PQflush(c->pg->conn);
		if (flushed != 0)
			break;
		if (n > PIECE_BYTES)
			n = PIECE_BYTES;
		rc = put(c, (struct view){c->rows.data + c->sent, n});
		c->sent += n;
		pg_await(c->pg);
	}
	if (flushed < 0)
		return pg_failed(c->pg, doing, NULL);
	if (rc != EXIT_DONE || c->sent < c->rows.len)
		return rc;
	buf_clear(&c->rows);
	c->sent = 0;
	c->in_copy += c->count;
	c->all += c->count;
	c->count = 0;
	if (!c->closing && clock_ms() < c->copy_until)
		return EXIT_DONE;
	*moved = true;
	return send_end(c);
}

/* From the server */

/* Reads write_no, first_id, commit_lsn, seq, checkpoint, backend. */
static int
on_begun(struct copyin *c)
{
	const PGresult *res = c->answer;
	struct copyin_mark found = {0};
	int64_t backend;

	if (!num_parse_i64(pg_value(res, 0, 0), &c->write_no) ||
	    !num_parse_i64(pg_value(res, 0, 1), &c->first_id) ||
	    !num_parse_i64(pg_value(res, 0, 5), &backend)) {
		log_error("could not begin to write: unexpected answer");
		return EXIT_BUG;
	}
	/* the writer's lock belongs to the session of the first query */
	if (backend != c->pg->backend)
		return pooler_refuse();
	lsn_parse(pg_value(res, 0, 2), &found.commit_lsn);
	num_parse_u64(pg_value(res, 0, 3), &found.seq);
	lsn_parse(pg_value(res, 0, 4), &found.checkpoint);
	if (found.commit_lsn == c->known.commit_lsn &&
	    found.seq == c->known.seq &&
	    found.checkpoint == c->known.checkpoint)
		return EXIT_DONE;
	log_error("could not write source \"%.*s\": another writer already "
		  "stored up to (%s, %llu), checkpoint %s",
	    VIEW_FMT(buf_view(&c->source)), lsn_text(found.commit_lsn).s,
	    (unsigned long long)found.seq, lsn_text(found.checkpoint).s);
	return EXIT_RETRY;
}

static int
on_looked(struct copyin *c)
{
	int64_t id;

	if (num_parse_i64(pg_value(c->answer, 0, 0), &id))
		return send_copy(c, id);
	log_error("could not %s: unexpected answer", doing);
	return EXIT_BUG;
}

static int
on_copying(struct copyin *c)
{
	if (PQresultStatus(c->answer) != PGRES_COPY_IN) {
		log_error("could not start COPY: unexpected answer");
		return EXIT_BUG;
	}
	c->state = COPYIN_COPY;
	c->in_copy = 0;
	c->before = c->all;
	c->copy_until = clock_ms() + COPY_MS;
	return put_part(c, copyrow_put_header);
}

static void
on_committed(struct copyin *c)
{
	log_info("committed %llu events", (unsigned long long)c->events);
	if (c->mark.seq != 0) {
		c->known.commit_lsn = c->mark.commit_lsn;
		c->known.seq = c->mark.seq;
	}
	if (c->mark.checkpoint != 0)
		c->known.checkpoint = c->mark.checkpoint;
	c->events = c->bytes = 0;
	c->closing = false;
	c->state = COPYIN_CLOSED;
}

/* Corrects the exit code of a logged failure by the state it came in. */
static int
explain(const struct copyin *c, int rc)
{
	if (c->state == COPYIN_COMMIT && pg_is_state(c->answer, "23505")) {
		log_hint("Another buffer-write has written this source.");
		return EXIT_RETRY;
	}
	/* no partition for the id (a check violation without a constraint's
	 * name): this process was suspended while others used up the ids */
	if (c->state == COPYIN_END && pg_is_state(c->answer, "23514") &&
	    PQresultErrorField(c->answer, PG_DIAG_CONSTRAINT_NAME) == NULL)
		return EXIT_RETRY;
	return rc;
}

static int
on_answer(struct copyin *c)
{
	switch (c->state) {
	case COPYIN_BEGIN:
		c->state = COPYIN_OPEN;
		return on_begun(c);
	case COPYIN_LOOK:
		return on_looked(c);
	case COPYIN_START:
		return on_copying(c);
	case COPYIN_END:
	case COPYIN_SCHEMA:
		c->state = COPYIN_OPEN;
		return EXIT_DONE;
	default:
		on_committed(c);
		return EXIT_DONE;
	}
}

static int
read_answer(struct copyin *c, bool *moved)
{
	int rc = pg_collect(c->pg, doing, &c->answer, moved);

	if (rc != EXIT_DONE)
		rc = explain(c, rc);
	else if (*moved)
		rc = on_answer(c);
	if (*moved) {
		PQclear(c->answer);
		c->answer = NULL;
	}
	return rc;
}

static int
step(struct copyin *c, bool *moved)
{
	switch (c->state) {
	case COPYIN_CLOSED:
		*moved = c->count > 0 || c->closing;
		return *moved ? send_begin(c) : EXIT_DONE;
	case COPYIN_OPEN:
		*moved = c->count > 0 || c->closing;
		if (!*moved)
			return EXIT_DONE;
		if (c->schema.len > 0)
			return send_schema(c);
		if (c->count == 0)
			return send_commit(c);
		return c->in_copy == 0 ? send_copy(c, c->first_id)
				       : send_look(c);
	case COPYIN_COPY:
		if (c->in_copy > 0 && c->sent == 0 &&
		    (c->schema.len > 0 || c->in_copy + c->count > COPY_ROWS)) {
			*moved = true;
			return send_end(c);
		}
		return send_rows(c, moved);
	default:
		return read_answer(c, moved);
	}
}

/* Do we wait for the server? */
static bool
waits(const struct copyin *c)
{
	return c->unsent ||
	    (c->state != COPYIN_CLOSED && c->state != COPYIN_OPEN &&
		c->state != COPYIN_COPY);
}

int
copyin_step(struct copyin *c)
{
	bool moved = true;
	int rc = EXIT_DONE, flushed;

	if (c->rows.failed || c->marks.failed || c->schema.failed) {
		log_error("could not %s: out of memory", doing);
		return EXIT_OS;
	}
	if (PQconsumeInput(c->pg->conn) == 0)
		return pg_failed(c->pg, doing, NULL);
	while (rc == EXIT_DONE && moved) {
		moved = false;
		rc = step(c, &moved);
	}
	if (rc != EXIT_DONE)
		return rc;
	flushed = PQflush(c->pg->conn);
	/* even if all is sent now, rows may be left: poll for POLLOUT, since no
	 * other event would continue them */
	c->unsent = flushed > 0;
	c->blocked = c->unsent || (c->state == COPYIN_COPY && c->count > 0);
	if (flushed < 0)
		return pg_failed(c->pg, doing, NULL);
	return waits(c) ? pg_lose_patience(c->pg, doing) : EXIT_DONE;
}

short
copyin_events(const struct copyin *c)
{
	return c->blocked ? POLLIN | POLLOUT : POLLIN;
}

int64_t
copyin_deadline(const struct copyin *c)
{
	if (waits(c) && pg_due_at(c->pg) < INT64_MAX)
		return pg_due_at(c->pg);
	return c->state == COPYIN_COPY && c->count == 0 ? c->copy_until : 0;
}

void
copyin_release(struct copyin *c)
{
	PQclear(c->answer);
	buf_release(&c->rows);
	buf_release(&c->source);
	buf_release(&c->marks);
	buf_release(&c->schema);
}
