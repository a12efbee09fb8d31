#include "reader/chunk_sql.h"

#include "reader/snapshot_rules.h"
#include "json/json_escape.h"
#include "json/json_small.h"

bool
chunk_is_true(const PGresult *facts, int row, enum chunk_fact column)
{
	return view_eq(pg_value(facts, row, column), VIEW_LIT("t"));
}

static bool
add_name(struct chunk *c, struct buf *sql, const struct snapshot_name *n)
{
	struct pg *pg = &c->lanes[0].pg;
	bool good = pg_add_identifier(pg, sql, buf_view(&n->schema));

	buf_addc(sql, '.');
	return pg_add_identifier(pg, sql, buf_view(&n->table)) && good;
}

bool
chunk_sql_lock(struct chunk *c, const struct chunk_part *p, struct buf *sql)
{
	bool good;

	buf_adds(sql, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ");
	buf_adds(sql, SNAPSHOT_RULE(2) ? "LOCK TABLE " : "--");
	buf_adds(sql, p->leaf != NULL ? "ONLY " : "");
	good = add_name(c, sql, p->leaf != NULL ? p->leaf : p->table);
	buf_adds(sql, " IN ACCESS SHARE MODE");
	return good && buf_str(sql) != NULL;
}

static bool
add_columns(struct chunk *c, struct buf *sql)
{
	bool good = true;

	for (int i = 0; i < PQntuples(c->facts); i++) {
		if (PQgetisnull(c->facts, i, F_COLUMN))
			continue;
		buf_adds(sql, i > 0 ? ", " : " ");
		good = pg_add_identifier(&c->lanes[0].pg, sql,
			   pg_value(c->facts, i, F_COLUMN)) &&
		    good;
	}
	return good;
}

/* column = value, by the operator of the key's index. */
static bool
add_comparison(
    struct chunk *c, struct buf *sql, int column, const struct json_token *t)
{
	struct pg *pg = &c->lanes[0].pg;
	struct buf value = BUF_INIT;
	bool good = json_small_text(t, &value) &&
	    pg_add_identifier(pg, sql, pg_value(c->facts, column, F_COLUMN));

	if (good && !PQgetisnull(c->facts, column, F_OPERATORS)) {
		buf_adds(sql, " OPERATOR(");
		good = pg_add_identifier(
		    pg, sql, pg_value(c->facts, column, F_OPERATORS));
		buf_adds(sql, ".=) ");
	} else {
		buf_adds(sql, " = ");
	}
	good = good && pg_add_literal(pg, sql, buf_view(&value));
	buf_release(&value);
	return good;
}

/* The values of one key, a JSON array of strings. */
static bool
add_key(struct chunk *c, struct buf *sql, const struct json_token *key)
{
	size_t n = 0;
	bool good = true;

	buf_addc(sql, '(');
	for (int i = 0; good && i < PQntuples(c->facts); i++) {
		if (!chunk_is_true(c->facts, i, F_KEY) || n == key->n)
			continue;
		buf_adds(sql, n > 0 ? " AND " : "");
		n++;
		good = add_comparison(c, sql, i, &key[n]);
	}
	buf_adds(sql, n > 0 ? ")" : "false)");
	return good;
}

static bool
add_keys(struct chunk *c, struct buf *sql, struct view keys)
{
	struct buf array = BUF_INIT;
	struct json_small d;
	bool good;

	buf_addc(&array, '[');
	buf_addv(&array, keys);
	buf_addc(&array, ']');
	good = !array.failed && json_small_read(&d, buf_view(&array));
	buf_addc(sql, '(');
	for (size_t i = 1; good && i < d.n; i = json_small_next(&d, i)) {
		buf_adds(sql, i > 1 ? " OR " : "");
		good = add_key(c, sql, &d.tokens[i]);
	}
	buf_addc(sql, ')');
	if (good)
		json_small_release(&d);
	buf_release(&array);
	return good;
}

bool
chunk_sql_copy(struct chunk *c, const struct chunk_part *p, uint64_t from,
    uint64_t to, struct buf *sql)
{
	bool good;

	buf_adds(sql, "COPY (SELECT");
	good = add_columns(c, sql);
	buf_adds(sql, c->partitioned ? " FROM " : " FROM ONLY ");
	good = add_name(c, sql, p->leaf != NULL ? p->leaf : p->table) && good;
	buf_adds(sql, " WHERE ");
	if (p->leaf != NULL)
		buf_addf(sql, "ctid >= '(%llu,0)' AND ctid < '(%llu,0)'",
		    (unsigned long long)from, (unsigned long long)to);
	else if (p->keys.p != NULL)
		good = add_keys(c, sql, p->keys) && good;
	else
		buf_adds(sql, "true");
	if (!PQgetisnull(c->facts, 0, F_FILTER)) {
		buf_adds(sql, " AND (");
		buf_addv(sql, pg_value(c->facts, 0, F_FILTER));
		buf_addc(sql, ')');
	}
	buf_adds(sql, ") TO STDOUT");
	return good && buf_str(sql) != NULL;
}
