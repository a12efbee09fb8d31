#include "reader/snapshot_steps.h"

#include "base/exitcode.h"
#include "base/log.h"
#include "base/num.h"
#include "reader/waiting.h"
#include "sql.h"

static int
query_names(struct snapshot *s, const char *sql, int n, const char **params,
    PGresult **res)
{
	int rc = pg_query(&s->chunk.lanes[0].pg,
	    "look up the tables of the snapshot", sql, n, params, res);

	s->locked = pg_is_state(*res, "55P03");
	if (!s->locked)
		return rc;
	PQclear(*res);
	*res = NULL;
	return EXIT_DONE;
}

static int
next_leaf(struct snapshot *s, const struct snapshot_table *t, uint64_t behind,
    PGresult **res, bool *found)
{
	char oid[21] = "";
	const char *params[] = {t->name.sql.data, oid};
	int rc;

	num_format_u64(oid, behind);
	rc = query_names(s, SQL_SNAPSHOT_LEAVES, 2, params, res);
	*found = PQntuples(*res) > 0 && !PQgetisnull(*res, 0, 0);
	return rc;
}

int
snapshot_choose_leaf(struct snapshot *s, struct snapshot_table *t, bool *found)
{
	PGresult *res;
	int rc = next_leaf(s, t, t->leaf_oid, &res, found);

	if (*found) {
		t->leaf_oid = t->filenode = t->from = t->to = t->leaf_blocks =
		    0;
		num_parse_u64(pg_value(res, 0, 1), &t->of);
		if (!snapshot_name_set(&t->leaf, pg_value(res, 0, 0)))
			rc = snapshot_no_memory();
	}
	PQclear(res);
	return rc;
}

int
snapshot_choose_again(struct snapshot *s, struct snapshot_table *t)
{
	PGresult *res;
	uint64_t of = 0;
	bool found;
	int rc = next_leaf(s, t, 0, &res, &found);

	/* without partitions the table itself is looked at */
	if (rc == EXIT_DONE && !s->locked) {
		num_parse_u64(pg_value(res, 0, 1), &of);
		if (!snapshot_table_begin(t,
			found ? pg_value(res, 0, 0) : buf_view(&t->name.sql),
			of))
			rc = snapshot_no_memory();
	}
	PQclear(res);
	return rc;
}

/* Takes tables of the result, up to the first that does not fit; the first of a
 * marker always does.  Returns the row behind, or -1: out of memory. */
static int
take(struct snapshot *s, const PGresult *res, uint64_t *room)
{
	uint64_t of;
	int i;

	for (i = 0; i < PQntuples(res) && s->state.n < SNAPSHOT_TABLES; i++) {
		of = 0;
		num_parse_u64(pg_value(res, i, 2), &of);
		if (s->state.n > 0 && of > *room)
			break;
		*room -= of < *room ? of : *room;
		if (!snapshot_state_add_table(&s->state, pg_value(res, i, 0),
			pg_value(res, i, 1), of))
			return -1;
	}
	return i;
}

/* The published tables that a requested name means: itself, or its partitions
 * and children.  No rows: none is published. */
static int
resolve(struct snapshot *s, struct view wanted, PGresult **res)
{
	const char *params[4] = {s->o.publication, ""};
	struct snapshot_name name = {0};
	int rc = EXIT_DONE;

	*res = NULL;
	if (snapshot_name_set(&name, wanted)) {
		params[2] = name.schema.data;
		params[3] = name.table.data;
		rc = query_names(s, SQL_SNAPSHOT_TABLES, 4, params, res);
	}
	snapshot_name_release(&name);
	return rc;
}

/* Takes what the first name of the list means, and puts back what does not fit.
 */
static int
take_named(struct snapshot *s, uint64_t *room, bool *fits)
{
	struct snapshot_wish *w = &s->state.wish;
	PGresult *res;
	int i = 0, rc = resolve(s, snapshot_wish_first(w), &res);

	if (rc == EXIT_DONE && PQntuples(res) == 0 && !s->locked)
		log_warning("could not take a snapshot of \"%.*s\": it is not "
			    "published",
		    VIEW_FMT(snapshot_wish_first(w)));
	if (rc == EXIT_DONE)
		i = take(s, res, room);
	*fits = i == PQntuples(res) && !s->locked;
	if (rc == EXIT_DONE && i >= 0 && !s->locked)
		snapshot_wish_drop_first(w);
	for (int k = PQntuples(res) - 1; i >= 0 && k >= i; k--)
		if (!snapshot_wish_prepend(w, pg_value(res, k, 0)))
			i = -1;
	PQclear(res);
	return i < 0 ? snapshot_no_memory() : rc;
}

static int
choose_named(struct snapshot *s, uint64_t room)
{
	bool fits = true;
	int rc = EXIT_DONE;

	while (rc == EXIT_DONE && fits && s->state.n < SNAPSHOT_TABLES &&
	    snapshot_wish_first(&s->state.wish).p != NULL)
		rc = take_named(s, &room, &fits);
	return rc;
}

static int
choose_published(struct snapshot *s, uint64_t room)
{
	const char *params[] = {
	    s->o.publication, buf_str(&s->state.next), NULL, NULL};
	PGresult *res;
	int rc = query_names(s, SQL_SNAPSHOT_TABLES, 4, params, &res);

	if (rc == EXIT_DONE && take(s, res, &room) < 0)
		rc = snapshot_no_memory();
	PQclear(res);
	return rc;
}

int
snapshot_look(struct snapshot *s, bool *all)
{
	PGresult *res;
	int rc = pg_query(&s->chunk.lanes[0].pg, "look at the transactions",
	    SQL_SNAPSHOT_NOW, 0, NULL, &res);

	*all = rc == EXIT_DONE &&
	    visible_all(&s->streamed, pg_value(res, 0, 0));
	PQclear(res);
	return rc;
}

int
snapshot_choose(struct snapshot *s)
{
	bool all;
	int rc = snapshot_look(s, &all);

	/* what was streamed may be what publishes a table */
	s->locked = !all;
	if (rc == EXIT_DONE && !all)
		waiting_log(&s->streamed);
	if (rc != EXIT_DONE || !all)
		return rc;
	s->turn = 0;
	return s->state.wish.all ? choose_published(s, s->blocks)
				 : choose_named(s, s->blocks);
}
