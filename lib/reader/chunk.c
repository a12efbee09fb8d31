#include "reader/chunk.h"

#include "base/exitcode.h"
#include "base/log.h"
#include "base/num.h"
#include "reader/source.h"
#include "sql.h"
#include "stream/tablelist.h"
#include "json/json_escape.h"
#include "json/json_small.h"

static const char doing[] = "read a table for the snapshot";

/* The columns of snapshot_facts.sql. */
enum {
	F_SNAPSHOT,
	F_SCHEMA,
	F_TABLE,
	F_FILENODE,
	F_BLOCKS,
	F_UNFIT,
	F_FILTER,
	F_COLUMN,
	F_TYPE,
	F_KEY,
	F_PARTITIONED,
};

int
chunk_open(struct chunk *c, const char *conninfo)
{
	int rc = source_connect(&c->pg, conninfo);

	if (rc == EXIT_DONE)
		rc = pg_query(&c->pg, "set up the session on the source",
		    "SET enable_seqscan = off; SET lock_timeout = '200ms'", 0,
		    NULL, NULL);
	return rc;
}

void
chunk_close(struct chunk *c)
{
	PQclear(c->facts);
	relation_cache_release(&c->cache);
	buf_release(&c->reason);
	pg_close(&c->pg);
	*c = (struct chunk){0};
}

static void
set_reason(struct chunk *c, struct view reason)
{
	buf_clear(&c->reason);
	buf_addv(&c->reason, reason);
}

/*
 * What an error means: class 08, 40, 53, 57 and what has no SQLSTATE say nothing
 * of the table, all others do.
 */
static int
judge(struct chunk *c, const PGresult *res, int rc, enum chunk_outcome *outcome)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	*outcome = CHUNK_OK;
	if (rc == EXIT_DONE)
		return EXIT_DONE;
	if (state == NULL || strncmp(state, "08", 2) == 0 ||
	    strncmp(state, "40", 2) == 0 || strncmp(state, "53", 2) == 0 ||
	    strncmp(state, "57", 2) == 0)
		return rc;
	*outcome = strcmp(state, "55P03") == 0 ? CHUNK_LOCKED : CHUNK_FAILED;
	set_reason(
	    c, view_of(PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY)));
	return chunk_end(c);
}

/* schema.table, quoted by us, since a marker may be anybody's. */
static bool
add_name(struct chunk *c, struct buf *sql, const char *name)
{
	struct table_list list;
	const char *ignored;
	bool good = table_list_parse(&list, name, &ignored) && list.n == 1 &&
	    pg_add_identifier(&c->pg, sql, list.names[0].schema);

	buf_addc(sql, '.');
	good = good && pg_add_identifier(&c->pg, sql, list.names[0].table);
	table_list_release(&list);
	return good;
}

static int
lock(struct chunk *c, const struct chunk_part *p, enum chunk_outcome *outcome)
{
	struct buf sql = BUF_INIT;
	PGresult *res = NULL;
	int rc;

	buf_addf(&sql,
	    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE %s",
	    p->keys.p != NULL ? "" : "ONLY ");
	if (!add_name(c, &sql, p->leaf)) {
		buf_release(&sql);
		*outcome = CHUNK_FAILED;
		set_reason(c, VIEW_LIT("its name is malformed"));
		return EXIT_DONE;
	}
	buf_adds(&sql, " IN ACCESS SHARE MODE");
	if (buf_str(&sql) == NULL)
		return EXIT_OS;
	c->pg.expected = "55P03";
	rc = pg_query(&c->pg, doing, sql.data, 0, NULL, &res);
	c->pg.expected = NULL;
	rc = judge(c, res, rc, outcome);
	PQclear(res);
	buf_release(&sql);
	return rc;
}

static bool
is_true(struct view v)
{
	return view_eq(v, VIEW_LIT("t"));
}

static bool
describe(struct chunk *c)
{
	int n = PQntuples(c->facts);
	uint64_t type = 0;

	if (PQgetisnull(c->facts, 0, F_COLUMN))
		n = 0;
	c->relation = relation_begin(&c->cache, 1,
	    pg_value(c->facts, 0, F_SCHEMA), pg_value(c->facts, 0, F_TABLE),
	    (size_t)n);
	if (c->relation == NULL)
		return false;
	for (int i = 0; i < n; i++) {
		num_parse_u64(pg_value(c->facts, i, F_TYPE), &type);
		relation_column(&c->cache, c->relation,
		    pg_value(c->facts, i, F_COLUMN), (uint32_t)type,
		    is_true(pg_value(c->facts, i, F_KEY)));
	}
	return relation_end(&c->cache, c->relation);
}

static int
learn(struct chunk *c, enum chunk_outcome *outcome)
{
	c->filenode = c->blocks = 0;
	if (PQntuples(c->facts) == 0)
		set_reason(c, VIEW_LIT("it is not published"));
	else if (!PQgetisnull(c->facts, 0, F_UNFIT))
		set_reason(c, pg_value(c->facts, 0, F_UNFIT));
	else {
		num_parse_u64(pg_value(c->facts, 0, F_FILENODE), &c->filenode);
		num_parse_u64(pg_value(c->facts, 0, F_BLOCKS), &c->blocks);
		c->snapshot = pg_value(c->facts, 0, F_SNAPSHOT);
		c->partitioned = is_true(pg_value(c->facts, 0, F_PARTITIONED));
		if (describe(c))
			return EXIT_DONE;
		log_error("could not %s: out of memory", doing);
		return EXIT_OS;
	}
	*outcome = CHUNK_FAILED;
	return chunk_end(c);
}

int
chunk_begin(
    struct chunk *c, const struct chunk_part *p, enum chunk_outcome *outcome)
{
	const char *params[] = {p->publication, p->table, p->leaf};
	int rc = lock(c, p, outcome);

	if (rc != EXIT_DONE || *outcome != CHUNK_OK)
		return rc;
	PQclear(c->facts);
	c->facts = NULL;
	rc = pg_query(&c->pg, doing, SQL_SNAPSHOT_FACTS, 3, params, &c->facts);
	rc = judge(c, c->facts, rc, outcome);
	return rc == EXIT_DONE && *outcome == CHUNK_OK ? learn(c, outcome) : rc;
}

static void
add_columns(struct chunk *c, struct buf *sql)
{
	for (int i = 0; i < PQntuples(c->facts); i++) {
		if (PQgetisnull(c->facts, i, F_COLUMN))
			continue;
		buf_adds(sql, i > 0 ? ", " : " ");
		pg_add_identifier(&c->pg, sql, pg_value(c->facts, i, F_COLUMN));
	}
}

/* The values of one key, a JSON array of strings, as SQL literals. */
static void
add_key(struct chunk *c, struct buf *sql, const struct json_token *key)
{
	struct buf value = BUF_INIT;
	struct json_error e;
	struct view v;

	buf_addc(sql, '(');
	for (size_t i = 1; i <= key->n; i++) {
		buf_clear(&value);
		buf_reserve(&value, key[i].text.n + 1);
		v = json_unescape(key[i].text, &value, &e);
		buf_adds(sql, i > 1 ? "," : "");
		pg_add_literal(&c->pg, sql, v);
	}
	buf_addc(sql, ')');
	buf_release(&value);
}

static bool
add_keys(struct chunk *c, struct buf *sql, struct view keys)
{
	struct buf array = BUF_INIT;
	struct json_small d;
	bool first = true, good;

	buf_adds(sql, " WHERE (");
	for (int i = 0; i < PQntuples(c->facts); i++) {
		if (!is_true(pg_value(c->facts, i, F_KEY)))
			continue;
		buf_adds(sql, first ? "" : ",");
		pg_add_identifier(&c->pg, sql, pg_value(c->facts, i, F_COLUMN));
		first = false;
	}
	buf_adds(sql, ") IN (");
	buf_addf(&array, "[%.*s]", VIEW_FMT(keys));
	good = json_small_read(&d, buf_view(&array));
	for (size_t i = 1; good && i < d.n; i = json_small_next(&d, i)) {
		buf_adds(sql, i > 1 ? "," : "");
		add_key(c, sql, &d.tokens[i]);
	}
	if (good)
		json_small_release(&d);
	buf_addc(sql, ')');
	buf_release(&array);
	return good;
}

int
chunk_copy(
    struct chunk *c, const struct chunk_part *p, enum chunk_outcome *outcome)
{
	struct buf sql = BUF_INIT;
	PGresult *res = NULL;
	bool good = true;
	int rc;

	buf_adds(&sql, "COPY (SELECT");
	add_columns(c, &sql);
	buf_adds(&sql, c->partitioned ? " FROM " : " FROM ONLY ");
	add_name(c, &sql, p->leaf);
	if (p->keys.p != NULL)
		good = add_keys(c, &sql, p->keys);
	else
		buf_addf(&sql,
		    " WHERE ctid >= '(%llu,0)' AND ctid < '(%llu,0)'",
		    (unsigned long long)p->from, (unsigned long long)p->to);
	if (!PQgetisnull(c->facts, 0, F_FILTER)) {
		buf_adds(&sql, " AND (");
		buf_addv(&sql, pg_value(c->facts, 0, F_FILTER));
		buf_addc(&sql, ')');
	}
	buf_adds(&sql, ") TO STDOUT");
	if (buf_str(&sql) == NULL || !good) {
		log_error("could not %s: out of memory", doing);
		rc = EXIT_OS;
	} else {
		rc = pg_query(&c->pg, doing, sql.data, 0, NULL, &res);
		rc = judge(c, res, rc, outcome);
	}
	PQclear(res);
	buf_release(&sql);
	pg_await(&c->pg);
	return rc;
}

int
chunk_next(struct chunk *c, char **row, size_t *len, bool *end,
    enum chunk_outcome *outcome)
{
	PGresult *res = NULL;
	int got, rc = EXIT_DONE;

	*end = false;
	got = PQgetCopyData(c->pg.conn, row, 1);
	if (got == 0) {
		if (PQconsumeInput(c->pg.conn) == 0)
			return pg_failed(&c->pg, doing, NULL);
		got = PQgetCopyData(c->pg.conn, row, 1);
	}
	if (got > 0) {
		*len = (size_t)got;
		pg_heard(&c->pg);
	} else if (got < 0) {
		*end = true;
		rc = pg_finish(&c->pg, doing, &res);
		rc = judge(c, res, rc, outcome);
		PQclear(res);
	} else {
		rc = pg_lose_patience(&c->pg, doing);
	}
	return rc;
}

int
chunk_end(struct chunk *c)
{
	return pg_query(&c->pg, doing, "ROLLBACK", 0, NULL, NULL);
}
