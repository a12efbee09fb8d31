#include "reader/chunk.h"

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/num.h"
#include "reader/chunk_sql.h"
#include "reader/source.h"
#include "sql.h"

#define LANE_BLOCKS 64 /* fewer are not worth another lane */

static const char doing[] = "read a table for the snapshot";

static int
no_memory(void)
{
	log_error("could not %s: out of memory", doing);
	return EXIT_OS;
}

/* Lanes */

static int
connect_lane(struct chunk *c, size_t i)
{
	struct chunk_lane *l = &c->lanes[i];
	int rc;

	if (l->pg.conn != NULL)
		return EXIT_DONE;
	rc = source_connect(&l->pg, c->conninfo);
	if (rc == EXIT_DONE)
		rc = pg_query(&l->pg, "set up the session on the source",
		    "SET enable_seqscan = off; SET lock_timeout = '200ms';"
		    "SET plan_cache_mode = force_generic_plan",
		    0, NULL, NULL);
	if (rc != EXIT_DONE)
		pg_close(&l->pg);
	l->pg.expected = "55P03";
	return rc;
}

static void
close_lane(struct chunk_lane *l)
{
	PQclear(l->answer);
	pg_close(&l->pg);
	*l = (struct chunk_lane){0};
}

int
chunk_open(struct chunk *c, const char *conninfo, size_t lanes)
{
	c->conninfo = conninfo;
	if (c->nlanes == 0)
		c->nlanes = lanes;
	return connect_lane(c, 0);
}

void
chunk_close(struct chunk *c)
{
	for (size_t i = 0; i < CHUNK_LANES; i++)
		close_lane(&c->lanes[i]);
	PQclear(c->facts);
	relation_cache_release(&c->cache);
	buf_release(&c->reason);
	*c = (struct chunk){0};
}

/* The transaction */

static void
set_reason(struct chunk *c, struct view reason)
{
	buf_clear(&c->reason);
	buf_addv(&c->reason, reason);
}

/* Ends the transaction, and any COPY by ending its session. */
int
chunk_end(struct chunk *c)
{
	bool begun = c->begun;
	int rc = EXIT_DONE;

	for (size_t i = 0; i < c->nlanes; i++)
		if (c->lanes[i].running)
			close_lane(&c->lanes[i]);
	c->begun = false;
	if (c->lanes[0].pg.conn == NULL)
		rc = connect_lane(c, 0);
	else if (begun)
		rc = pg_query(
		    &c->lanes[0].pg, doing, "ROLLBACK", 0, NULL, NULL);
	return rc;
}

/* What an error says of the table. */
static enum chunk_outcome
meaning(const char *state, const struct chunk_part *p)
{
	if (strcmp(state, "55P03") == 0)
		return CHUNK_LOCKED;
	if (strcmp(state, "42P01") == 0 && p->leaf != NULL &&
	    !view_eq(buf_view(&p->leaf->sql), buf_view(&p->table->sql)))
		return CHUNK_NO_LEAF;
	return CHUNK_FAILED;
}

/*
 * What an error means: class 08, 40, 53, 57 and what has no SQLSTATE say nothing
 * of the table, all others do.
 */
static int
judge(struct chunk *c, const struct chunk_part *p, const PGresult *res, int rc,
    enum chunk_outcome *outcome)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	*outcome = CHUNK_OK;
	if (rc == EXIT_DONE)
		return EXIT_DONE;
	if (state == NULL || strncmp(state, "08", 2) == 0 ||
	    strncmp(state, "40", 2) == 0 || strncmp(state, "53", 2) == 0 ||
	    strncmp(state, "57", 2) == 0)
		return rc;
	*outcome = meaning(state, p);
	set_reason(
	    c, view_of(PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY)));
	return chunk_end(c);
}

static int
lock(struct chunk *c, const struct chunk_part *p, enum chunk_outcome *outcome)
{
	struct buf sql = BUF_INIT;
	PGresult *res = NULL;
	int rc;

	if (!chunk_sql_lock(c, p, &sql)) {
		buf_release(&sql);
		return no_memory();
	}
	c->begun = true;
	rc = pg_query(&c->lanes[0].pg, doing, sql.data, 0, NULL, &res);
	rc = judge(c, p, res, rc, outcome);
	PQclear(res);
	buf_release(&sql);
	return rc;
}

static struct column_type
column_type(const struct chunk *c, int row)
{
	struct column_type type = {0};
	uint64_t oid = 0;
	int64_t modifier = -1;

	num_parse_u64(pg_value(c->facts, row, F_TYPE), &oid);
	num_parse_i64(pg_value(c->facts, row, F_MODIFIER), &modifier);
	type.oid = (uint32_t)oid;
	type.modifier = (int32_t)modifier;
	if (!PQgetisnull(c->facts, row, F_TYPE_NAME)) {
		type.schema = pg_value(c->facts, row, F_TYPE_SCHEMA);
		type.name = pg_value(c->facts, row, F_TYPE_NAME);
	}
	return type;
}

static bool
describe(struct chunk *c)
{
	int n = PQntuples(c->facts);
	uint64_t oid = 0;

	if (PQgetisnull(c->facts, 0, F_COLUMN))
		n = 0;
	num_parse_u64(pg_value(c->facts, 0, F_OID), &oid);
	/* an earlier one would have another OID, and stay */
	relation_cache_release(&c->cache);
	c->relation = relation_begin(&c->cache, (uint32_t)oid,
	    pg_value(c->facts, 0, F_SCHEMA), pg_value(c->facts, 0, F_TABLE),
	    (size_t)n);
	if (c->relation == NULL)
		return false;
	c->relation->identity = *pg_value(c->facts, 0, F_IDENTITY).p;
	for (int i = 0; i < n; i++) {
		struct column_type type = column_type(c, i);

		relation_column(&c->cache, c->relation,
		    pg_value(c->facts, i, F_COLUMN), &type,
		    chunk_is_true(c->facts, i, F_KEY));
	}
	return relation_end(&c->cache, c->relation);
}

static int
learn(struct chunk *c, enum chunk_outcome *outcome)
{
	c->filenode = c->blocks = 0;
	*outcome = CHUNK_FAILED;
	if (PQntuples(c->facts) == 0)
		set_reason(c, VIEW_LIT("it is not published"));
	else if (PQgetisnull(c->facts, 0, F_LEAF))
		*outcome = CHUNK_NO_LEAF;
	else if (!PQgetisnull(c->facts, 0, F_UNFIT))
		set_reason(c, pg_value(c->facts, 0, F_UNFIT));
	else {
		num_parse_u64(pg_value(c->facts, 0, F_LEAF), &c->leaf);
		num_parse_u64(pg_value(c->facts, 0, F_FILENODE), &c->filenode);
		num_parse_u64(pg_value(c->facts, 0, F_BLOCKS), &c->blocks);
		c->snapshot = pg_value(c->facts, 0, F_SNAPSHOT);
		c->shown = 0;
		lsn_parse(pg_value(c->facts, 0, F_INSERT), &c->shown);
		c->shape = pg_value(c->facts, 0, F_SHAPE);
		c->whole = chunk_is_true(c->facts, 0, F_WHOLE);
		c->partitioned = chunk_is_true(c->facts, 0, F_PARTITIONED);
		*outcome = CHUNK_OK;
		return describe(c) ? EXIT_DONE : no_memory();
	}
	return chunk_end(c);
}

/* The statement is a long one, so it is planned once. */
static int
ask_facts(struct chunk *c, const struct chunk_part *p)
{
	struct pg *pg = &c->lanes[0].pg;
	const struct snapshot_name *leaf = p->leaf != NULL ? p->leaf : p->table;
	const char *params[] = {
	    p->publication, p->table->sql.data, leaf->sql.data};
	const char *name;
	int rc = pg_prepare(pg, doing, SQL_SNAPSHOT_FACTS, 3, &name);

	PQclear(c->facts);
	c->facts = NULL;
	if (rc != EXIT_DONE)
		return rc;
	if (PQsendQueryPrepared(pg->conn, name, 3, params, NULL, NULL, 0) == 0)
		return pg_failed(pg, doing, NULL);
	return pg_finish(pg, doing, &c->facts);
}

int
chunk_begin(
    struct chunk *c, const struct chunk_part *p, enum chunk_outcome *outcome)
{
	int rc = lock(c, p, outcome);

	if (rc != EXIT_DONE || *outcome != CHUNK_OK)
		return rc;
	rc = ask_facts(c, p);
	rc = judge(c, p, c->facts, rc, outcome);
	return rc == EXIT_DONE && *outcome == CHUNK_OK ? learn(c, outcome) : rc;
}

/* The COPY */

static int
start_lane(struct chunk *c, struct chunk_lane *l)
{
	struct buf sql = BUF_INIT;
	int rc = EXIT_DONE;

	if (!chunk_sql_copy(c, &c->part, l->from, l->to, &sql))
		rc = no_memory();
	else if (PQsendQuery(l->pg.conn, sql.data) == 0)
		rc = pg_failed(&l->pg, doing, NULL);
	buf_release(&sql);
	l->running = true;
	l->copying = false;
	pg_await(&l->pg);
	return rc;
}

/* How many lanes share n blocks.  A lane that cannot connect is given up. */
static size_t
lanes_for(struct chunk *c, uint64_t n)
{
	uint64_t wanted = n / LANE_BLOCKS;

	for (size_t i = 1; i < c->nlanes && i < wanted; i++)
		if (connect_lane(c, i) != EXIT_DONE)
			c->nlanes = i;
	return wanted < 1 ? 1 : wanted < c->nlanes ? wanted : c->nlanes;
}

int
chunk_copy(struct chunk *c, const struct chunk_part *p)
{
	uint64_t blocks = p->leaf != NULL ? p->to - p->from : 0;
	size_t n = lanes_for(c, blocks);
	int rc = EXIT_DONE;

	c->part = *p;
	c->lane = 0;
	for (size_t i = 0; rc == EXIT_DONE && i < n; i++) {
		c->lanes[i].from = p->from + blocks * i / n;
		c->lanes[i].to = p->from + blocks * (i + 1) / n;
		rc = start_lane(c, &c->lanes[i]);
	}
	return rc;
}

/*
 * A lane has ended.  If it did not get its lock, since somebody waits for a
 * stronger one, the first lane, which has it, reads what was left.
 */
static int
end_lane(
    struct chunk *c, struct chunk_lane *l, int rc, enum chunk_outcome *outcome)
{
	bool locked = pg_is_state(l->answer, "55P03");

	l->running = l->copying = false;
	if (!locked || l == &c->lanes[0]) {
		l->to = l->from;
		rc = judge(c, &c->part, l->answer, rc, outcome);
	} else {
		rc = EXIT_DONE;
	}
	PQclear(l->answer);
	l->answer = NULL;
	return rc;
}

/* Waits for the answer to the COPY statement, or to its end. */
static int
hear_lane(struct chunk *c, struct chunk_lane *l, enum chunk_outcome *outcome)
{
	bool done;
	int rc = pg_collect(&l->pg, doing, &l->answer, &done);

	if (!done)
		return pg_lose_patience(&l->pg, doing);
	if (rc != EXIT_DONE || PQresultStatus(l->answer) != PGRES_COPY_OUT)
		return end_lane(c, l, rc, outcome);
	PQclear(l->answer);
	l->answer = NULL;
	l->copying = true;
	return EXIT_DONE;
}

static int
next_of(struct chunk *c, struct chunk_lane *l, char **row, size_t *len,
    enum chunk_outcome *outcome)
{
	int rc, got = l->copying ? PQgetCopyData(l->pg.conn, row, 1) : 0;

	if (got == 0) {
		if (PQconsumeInput(l->pg.conn) == 0)
			return pg_failed(&l->pg, doing, NULL);
		rc = l->copying ? EXIT_DONE : hear_lane(c, l, outcome);
		if (rc != EXIT_DONE || !l->copying)
			return rc;
		got = PQgetCopyData(l->pg.conn, row, 1);
		if (got != 0)
			pg_heard(&l->pg);
	}
	if (got == 0)
		return pg_lose_patience(&l->pg, doing);
	*len = (size_t)got;
	l->copying = got > 0;
	return got > 0 ? EXIT_DONE : hear_lane(c, l, outcome);
}

/* What another lane did not get is read by the first one.  False: there is no
 * such part. */
static bool
take_over(struct chunk *c)
{
	for (size_t i = 1; i < c->nlanes; i++) {
		struct chunk_lane *l = &c->lanes[i];

		if (l->from == l->to)
			continue;
		c->lanes[0].from = l->from;
		c->lanes[0].to = l->to;
		l->from = l->to;
		return true;
	}
	return false;
}

int
chunk_next(struct chunk *c, char **row, size_t *len, bool *end,
    enum chunk_outcome *outcome)
{
	bool running = false;
	int rc = EXIT_DONE;

	*row = NULL;
	*end = false;
	*outcome = CHUNK_OK;
	for (size_t i = 0; i < c->nlanes; i++) {
		struct chunk_lane *l = &c->lanes[c->lane];

		if (l->running)
			rc = next_of(c, l, row, len, outcome);
		if (rc != EXIT_DONE || *row != NULL)
			return rc;
		*end = *outcome != CHUNK_OK;
		if (*end)
			return rc;
		running |= l->running;
		c->lane = (c->lane + 1) % c->nlanes;
	}
	*end = !running && !take_over(c);
	return running || *end ? EXIT_DONE : start_lane(c, &c->lanes[0]);
}

size_t
chunk_poll(const struct chunk *c, struct pollfd *p)
{
	size_t n = 0;

	for (size_t i = 0; i < c->nlanes; i++)
		if (c->lanes[i].running)
			p[n++] = (struct pollfd){
			    PQsocket(c->lanes[i].pg.conn), POLLIN, 0};
	return n;
}

int64_t
chunk_due_at(const struct chunk *c)
{
	int64_t at = INT64_MAX;

	for (size_t i = 0; i < c->nlanes; i++)
		if (c->lanes[i].running)
			at = clock_earlier(at, pg_due_at(&c->lanes[i].pg));
	return at;
}
