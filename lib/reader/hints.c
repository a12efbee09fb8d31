#include "reader/hints.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/json_write.h"
#include "base/log.h"
#include "base/num.h"
#include "reader/pgvalue.h"
#include "reader/source.h"
#include "reader/typename.h"
#include "sql.h"

#define RETRY_MS  10000 /* between attempts, after a failure */
#define FIRST_OWN 10000 /* FirstGenbkiObjectId: OIDs from it on are not fixed */

static const char doing[] = "ask the source's catalog for the tables' schemas";

/* The columns of table_hints.sql and of type_hints.sql. */
enum {
	C_NAME,
	C_NUMBER,
	C_NOT_NULL,
	C_MISSING,
	C_IN_KEY,
	C_ROOT,
	C_ROOT_SCHEMA,
	C_ROOT_NAME,
};
enum {
	T_NAME,
	T_DOMAIN_SCHEMA,
	T_DOMAIN,
	T_LABELS,
};

static bool
needs_type(const struct column *col)
{
	return col->declared >= FIRST_OWN ||
	    view_eq(col->type_name, VIEW_LIT("unknown"));
}

static void
forget(struct hints *h)
{
	PQclear(h->columns);
	PQclear(h->types);
	h->columns = h->types = NULL;
	h->next = h->next_type = 0;
}

static int
open_session(struct hints *h)
{
	int rc;

	if (h->pg.conn != NULL)
		return EXIT_DONE;
	rc = source_connect(&h->pg, h->conninfo);
	if (rc == EXIT_DONE)
		rc = pg_query(&h->pg, doing, "SET statement_timeout = '2s'", 0,
		    NULL, NULL);
	return rc;
}

static void
add_number(struct buf *array, long long v)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", v);
	pg_array_add(array, view_of(text));
}

static int
ask(struct hints *h, const struct relation *r)
{
	struct buf types = BUF_INIT, modifiers = BUF_INIT;
	char oid[24];
	const char *of_table[] = {oid}, *of_types[2];
	struct pg_call calls[2] = {{SQL_TABLE_HINTS, 1, of_table, NULL},
	    {SQL_TYPE_HINTS, 2, of_types, NULL}};
	size_t n = 1;
	int rc = open_session(h);

	snprintf(oid, sizeof(oid), "%lu", (unsigned long)r->oid);
	for (size_t i = 0; i < r->ncolumns; i++) {
		if (!needs_type(&r->columns[i]))
			continue;
		add_number(&types, r->columns[i].declared);
		add_number(&modifiers, r->columns[i].modifier);
		n = 2;
	}
	of_types[0] = pg_array_end(&types);
	of_types[1] = pg_array_end(&modifiers);
	if (rc == EXIT_DONE)
		rc = pg_query_again(&h->pg, doing, calls, n);
	h->columns = calls[0].res;
	h->types = calls[1].res;
	buf_release(&types);
	buf_release(&modifiers);
	return rc;
}

/* Whoever cannot be asked now may be asked later. */
static void
give_up(struct hints *h, const struct log_kept *kept)
{
	forget(h);
	pg_close(&h->pg);
	h->retry_at = clock_ms() + RETRY_MS;
	if (h->warned)
		return;
	h->warned = true;
	log_warning("schema lines lack what only the catalog knows: %.*s",
	    VIEW_FMT(buf_view(&kept->error)));
}

void
hints_ask(struct hints *h, const struct relation *r)
{
	struct log_kept kept = {.silent = true};

	forget(h);
	if (clock_ms() < h->retry_at)
		return;
	log_keep(&kept);
	if (ask(h, r) != EXIT_DONE) {
		log_keep(NULL);
		give_up(h, &kept);
	}
	log_keep(NULL);
	log_kept_release(&kept);
}

static bool
is_named(struct hints *h, int row, struct view json)
{
	buf_clear(&h->name);
	json_write_string(&h->name, pg_value(h->columns, row, C_NAME));
	return view_eq(buf_view(&h->name), json);
}

/* The row of a column, whose name is JSON; -1: the catalog does not know it.
 * Both are in the order of pg_attribute.attnum. */
static int
find_column(struct hints *h, struct view json)
{
	int n = PQntuples(h->columns);

	for (int i = 0; i < n; i++) {
		int row = (h->next + i) % n;

		if (is_named(h, row, json)) {
			h->next = row + 1;
			return row;
		}
	}
	return -1;
}

static bool
has_column(const struct relation *r, struct view json)
{
	for (size_t i = 0; i < r->ncolumns; i++) {
		const struct view *name = &r->columns[i].json;

		if (view_eq((struct view){name->p, name->n - 1}, json))
			return true;
	}
	return false;
}

/* The row of the n-th column of the primary key; -1: there is none. */
static int
key_column(const struct hints *h, uint64_t n)
{
	uint64_t at;

	for (int row = 0; row < PQntuples(h->columns); row++) {
		if (num_parse_u64(pg_value(h->columns, row, C_IN_KEY), &at) &&
		    at == n)
			return row;
	}
	return -1;
}

/* Null if it is not known, or has a column that the WAL does not have. */
static void
add_primary_key(struct hints *h, const struct relation *r, struct buf *b)
{
	size_t from;
	int row;

	buf_adds(b, ",\"primary_key\":");
	from = b->len;
	buf_addc(b, '[');
	for (uint64_t n = 1; (row = key_column(h, n)) >= 0; n++) {
		buf_clear(&h->name);
		json_write_string(&h->name, pg_value(h->columns, row, C_NAME));
		if (!has_column(r, buf_view(&h->name))) {
			b->len = from;
			buf_adds(b, "null");
			return;
		}
		buf_adds(b, n > 1 ? "," : "");
		buf_addv(b, buf_view(&h->name));
	}
	buf_addc(b, ']');
}

void
hints_add_table(struct hints *h, const struct relation *r, struct buf *b)
{
	if (PQntuples(h->columns) == 0) {
		buf_adds(b, ",\"primary_key\":null");
		return;
	}
	add_primary_key(h, r, b);
	if (PQgetisnull(h->columns, 0, C_ROOT))
		return;
	buf_adds(b, ",\"partition_of\":{\"relid\":");
	buf_addv(b, pg_value(h->columns, 0, C_ROOT));
	buf_adds(b, ",\"schema_name\":");
	json_write_string(b, pg_value(h->columns, 0, C_ROOT_SCHEMA));
	buf_adds(b, ",\"table_name\":");
	json_write_string(b, pg_value(h->columns, 0, C_ROOT_NAME));
	buf_addc(b, '}');
}

/* What the catalog knows of the type, whose row is -1 if it does not. */
static void
add_type(struct hints *h, const struct column *col, int row, struct buf *b)
{
	struct view name = col->type_name;

	if (row >= 0 && !PQgetisnull(h->types, row, T_NAME))
		name = pg_value(h->types, row, T_NAME);
	buf_adds(b, ",\"type\":");
	json_write_string(b, name);
	if (row < 0)
		return;
	if (!PQgetisnull(h->types, row, T_DOMAIN)) {
		buf_clear(&h->name);
		typename_add_qualified(&h->name,
		    pg_value(h->types, row, T_DOMAIN_SCHEMA),
		    pg_value(h->types, row, T_DOMAIN));
		buf_adds(b, ",\"domain\":");
		json_write_string(b, buf_view(&h->name));
	}
	if (!PQgetisnull(h->types, row, T_LABELS)) {
		buf_adds(b, ",\"enum\":");
		buf_addv(b, pg_value(h->types, row, T_LABELS));
	}
}

void
hints_add_column(struct hints *h, const struct column *col, struct buf *b)
{
	int type = -1, row;

	if (needs_type(col) && h->next_type < PQntuples(h->types))
		type = h->next_type++;
	add_type(h, col, type, b);
	row = find_column(h, (struct view){col->json.p, col->json.n - 1});
	if (row < 0)
		return;
	buf_adds(b, ",\"attnum\":");
	buf_addv(b, pg_value(h->columns, row, C_NUMBER));
	if (view_eq(pg_value(h->columns, row, C_NOT_NULL), VIEW_LIT("t")))
		buf_adds(b, ",\"not_null\":true");
	if (!PQgetisnull(h->columns, row, C_MISSING)) {
		buf_adds(b, ",\"missing\":");
		pgvalue_write(
		    b, col->type, pg_value(h->columns, row, C_MISSING));
	}
}

void
hints_close(struct hints *h)
{
	forget(h);
	pg_close(&h->pg);
	buf_release(&h->name);
}
