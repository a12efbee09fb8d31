#include "batcher/letters.h"

#include <stdio.h>

#include "base/exitcode.h"
#include "base/log.h"
#include "base/num.h"
#include "buffer/copyrow.h"
#include "sql.h"

int
letters_count(struct cursor_session *s, uint64_t *n)
{
	static const char doing[] = "count the dead letters";
	PGresult *res;
	int rc = cursor_settle(s);

	if (rc != EXIT_DONE)
		return rc;
	rc = pg_query(&s->pg, doing, SQL_COUNT_LETTERS, 1, &s->consumer, &res);
	if (rc == EXIT_DONE && !num_parse_u64(pg_value(res, 0, 0), n)) {
		log_error("could not %s: unexpected answer", doing);
		rc = EXIT_BUG;
	}
	PQclear(res);
	return rc;
}

/* The arrays of park.sql and park_again.sql. */
struct arrays {
	struct buf b[4];
};

/* Makes them the parameters from params on. */
static void
add(struct arrays *a, const char **params, const struct letter *letters,
    size_t n)
{
	char number[24];

	for (size_t i = 0; i < n; i++) {
		snprintf(
		    number, sizeof(number), "%lld", (long long)letters[i].id);
		pg_array_add(&a->b[0], view_of(number));
		pg_array_add(&a->b[1], view_of(letters[i].status));
		snprintf(number, sizeof(number), "%llu",
		    (unsigned long long)letters[i].attempts);
		pg_array_add(&a->b[2], view_of(number));
		pg_array_add(&a->b[3], buf_view(&letters[i].stderr_tail));
	}
	for (size_t i = 0; i < 4; i++)
		params[i] = pg_array_end(&a->b[i]);
}

static void
release(struct arrays *a)
{
	for (size_t i = 0; i < 4; i++)
		buf_release(&a->b[i]);
}

int
letters_park(struct cursor_session *s, struct view source,
    const struct letter *letters, size_t n, const struct batch_mark *m)
{
	struct arrays a = {0};
	struct cursor_params p;
	PGresult *res = NULL;
	int rc = cursor_settle(s);

	cursor_params(&p, s, source, m);
	add(&a, p.p + 7, letters, n);
	if (rc == EXIT_DONE) {
		rc = pg_query(&s->pg, "park the events that failed", SQL_PARK,
		    11, p.p, &res);
		rc = cursor_check_mark(s, rc, res, true);
	}
	s->failing = false; /* park.sql has removed the row */
	PQclear(res);
	release(&a);
	buf_release(&p.source);
	return rc;
}

int
letters_park_again(struct cursor_session *s, struct view source,
    const struct letter *letters, size_t n)
{
	static const struct batch_mark none = {0};
	struct arrays a = {0};
	struct cursor_params p;
	int rc = cursor_settle(s);

	cursor_params(&p, s, source, &none);
	add(&a, p.p + 2, letters, n);
	if (rc == EXIT_DONE)
		rc = pg_query(&s->pg, "record that letters failed again",
		    SQL_PARK_AGAIN, 6, p.p, NULL);
	release(&a);
	buf_release(&p.source);
	return rc;
}

static void
put_neighbour(
    struct cursor_session *s, struct buf *sql, struct view source, int64_t id)
{
	buf_adds(sql,
	    "COPY (SELECT " COPYROW_OUT " FROM philotes.cdc_log WHERE id = "
	    "(SELECT l.id FROM philotes.cdc_writes w CROSS JOIN LATERAL "
	    "(SELECT id FROM philotes.cdc_log WHERE source_id = w.source_id ");
	buf_addf(sql,
	    "AND id BETWEEN w.first_id AND least(w.last_id, %lld) AND id NOT "
	    "IN (SELECT id FROM philotes.cdc_dead_letters WHERE consumer = ",
	    (long long)id - 1);
	pg_add_literal(&s->pg, sql, view_of(s->consumer));
	buf_adds(sql, ") ORDER BY id DESC LIMIT 1) l WHERE w.source_id = ");
	pg_add_literal(&s->pg, sql, source);
	buf_addf(sql,
	    " AND w.events > 0 AND w.first_id < %lld ORDER BY w.write_no DESC "
	    "LIMIT 1)) TO STDOUT (FORMAT binary)",
	    (long long)id);
}

int
letters_neighbour(struct cursor_session *s, struct view source, int64_t id,
    struct batch_queue *q)
{
	static const char doing[] = "read an event that was processed";
	struct buf sql = BUF_INIT;
	struct event e;
	bool first = true, ok;
	char *message;
	size_t n;
	int rc = cursor_settle(s);

	put_neighbour(s, &sql, source, id);
	if (rc == EXIT_DONE)
		rc = pg_query(&s->pg, doing, buf_str(&sql), 0, NULL, NULL);
	buf_release(&sql);
	if (rc != EXIT_DONE)
		return rc;
	while ((rc = pg_copy_data(&s->pg, doing, &message, &n)) == EXIT_DONE &&
	    message != NULL) {
		ok = copyrow_get((struct view){message, n}, first, &e) !=
			COPYROW_EVENT ||
		    batch_queue_add(q, &e, 0);
		first = false;
		PQfreemem(message);
		if (ok)
			continue;
		log_error("could not %s: out of memory", doing);
		return EXIT_OS;
	}
	if (rc == EXIT_DONE)
		rc = pg_finish(&s->pg, doing, NULL);
	/* it may be older than what the book has */
	if (rc == EXIT_DONE && q->book != NULL && q->n > 0)
		rc = schema_book_ask(
		    q->book, &s->pg, q->lines[0].id, &q->lines[0].schema);
	return rc;
}
