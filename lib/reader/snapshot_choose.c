#include "reader/snapshot_steps.h"

#include "base/exitcode.h"
#include "base/log.h"
#include "base/num.h"
#include "sql.h"
#include "stream/tablelist.h"

static int
query_names(struct snapshot *s, const char *sql, int n, const char **params,
    PGresult **res)
{
	return pg_query(&s->chunk.pg, "look up the tables of the snapshot", sql,
	    n, params, res);
}

int
snapshot_choose_leaf(struct snapshot *s, bool *found)
{
	struct snapshot_state *t = &s->state;
	const char *params[] = {buf_str(&t->table), buf_str(&t->leaf)};
	PGresult *res;
	int rc = query_names(s, SQL_SNAPSHOT_LEAVES, 2, params, &res);

	*found = rc == EXIT_DONE && !PQgetisnull(res, 0, 0);
	if (*found) {
		buf_clear(&t->leaf);
		buf_addv(&t->leaf, pg_value(res, 0, 0));
		t->filenode = t->from = t->to = t->leaf_blocks = 0;
		num_parse_u64(pg_value(res, 0, 1), &t->of);
	}
	PQclear(res);
	return rc;
}

int
snapshot_choose_again(struct snapshot *s)
{
	bool found;
	int rc;

	buf_clear(&s->state.leaf);
	s->state.step = SNAPSHOT_READ;
	s->state.rows = s->state.blocks = s->state.of = 0;
	rc = snapshot_choose_leaf(s, &found);
	if (rc == EXIT_DONE && !found)
		s->state.step = SNAPSHOT_END;
	return rc;
}

/* The published tables that a requested name means: itself, or its partitions
 * and children.  No rows: none is published. */
static int
resolve(struct snapshot *s, const char *name, PGresult **res)
{
	const char *params[4] = {s->o.publication, ""};
	struct buf schema = BUF_INIT, table = BUF_INIT;
	struct table_list list;
	const char *ignored;
	int rc = EXIT_DONE;

	*res = NULL;
	if (table_list_parse(&list, name, &ignored) && list.n == 1) {
		buf_addv(&schema, list.names[0].schema);
		buf_addv(&table, list.names[0].table);
		params[2] = buf_str(&schema);
		params[3] = buf_str(&table);
		rc = query_names(s, SQL_SNAPSHOT_TABLES, 4, params, res);
	}
	table_list_release(&list);
	buf_release(&schema);
	buf_release(&table);
	return rc;
}

/* Of a list: the next published table.  Others get a warning. */
static int
choose_listed(struct snapshot *s, bool *found)
{
	struct buf name = BUF_INIT;
	PGresult *res = NULL;
	int rc = EXIT_DONE;

	*found = false;
	while (rc == EXIT_DONE && !*found &&
	    snapshot_state_first(&s->state, &name)) {
		rc = resolve(s, buf_str(&name), &res);
		*found = rc == EXIT_DONE && PQntuples(res) > 0;
		if (rc == EXIT_DONE && !*found)
			log_warning("could not take a snapshot of \"%s\": it "
				    "is not published",
			    buf_str(&name));
		snapshot_state_drop_first(&s->state);
		for (int i = PQntuples(res); *found && i > 1; i--)
			snapshot_state_prepend(
			    &s->state, pg_value(res, i - 1, 0));
		if (*found) {
			buf_clear(&s->state.table);
			buf_addv(&s->state.table, pg_value(res, 0, 0));
		}
		PQclear(res);
	}
	buf_release(&name);
	return rc;
}

static int
choose_published(struct snapshot *s, bool *found)
{
	const char *params[] = {
	    s->o.publication, buf_str(&s->state.table), NULL, NULL};
	PGresult *res;
	int rc = query_names(s, SQL_SNAPSHOT_TABLES, 4, params, &res);

	*found = rc == EXIT_DONE && PQntuples(res) > 0;
	buf_clear(&s->state.table);
	if (*found)
		buf_addv(&s->state.table, pg_value(res, 0, 0));
	PQclear(res);
	return rc;
}

int
snapshot_choose(struct snapshot *s)
{
	bool found, all = view_eq(buf_view(&s->state.tables), VIEW_LIT("null"));
	int rc = all ? choose_published(s, &found) : choose_listed(s, &found);

	if (rc == EXIT_DONE && found)
		return snapshot_choose_again(s);
	buf_clear(&s->state.table);
	s->state.step = SNAPSHOT_END;
	return rc;
}
