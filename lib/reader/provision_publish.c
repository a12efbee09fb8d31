#include "reader/provision_steps.h"

#include "base/exitcode.h"
#include "base/log.h"
#include "sql.h"

/* Columns of source_tables.sql. */
enum { T_SCHEMA, T_TABLE, T_STATE, T_PUBLISHED };

/* Which tables */

static void
add_table(struct provision *p, struct view schema, struct view table)
{
	if (p->names.len > 0)
		buf_addc(&p->names, ',');
	pg_add_identifier(&p->pg, &p->names, schema);
	buf_addc(&p->names, '.');
	pg_add_identifier(&p->pg, &p->names, table);
	snapshot_request_add(&p->request, &p->pg, schema, table);
}

static void
left_out(struct view schema, struct view table, struct view why)
{
	provision_say("left out \"%.*s\".\"%.*s\": %.*s", VIEW_FMT(schema),
	    VIEW_FMT(table), VIEW_FMT(why));
}

static bool
is_listed(const struct table_list *list, struct view schema, struct view table)
{
	if (list == NULL)
		return true;
	for (size_t i = 0; i < list->n; i++)
		if (view_eq(list->names[i].schema, schema) &&
		    view_eq(list->names[i].table, table))
			return true;
	return false;
}

static int
list_tables(struct provision *p, PGresult **tables)
{
	const char *params[] = {p->o->publication};

	return pg_query(&p->pg, "list the tables of the source",
	    SQL_SOURCE_TABLES, 1, params, tables);
}

static int
listed(struct provision *p, int rc)
{
	if (rc == EXIT_DONE && buf_str(&p->names) == NULL)
		rc = provision_no_memory("list the tables of the source");
	return rc;
}

int
provision_pick_fit(struct provision *p, bool wanted)
{
	PGresult *tables;
	int rc = list_tables(p, &tables);

	for (int i = 0; rc == EXIT_DONE && i < PQntuples(tables); i++) {
		struct view schema = pg_value(tables, i, T_SCHEMA);
		struct view table = pg_value(tables, i, T_TABLE);
		struct view state = pg_value(tables, i, T_STATE);

		if (view_eq(pg_value(tables, i, T_PUBLISHED), VIEW_LIT("t")) ||
		    !is_listed(p->o->tables, schema, table))
			continue;
		if (!view_eq(state, VIEW_LIT("ok")))
			left_out(schema, table, state);
		else if (wanted)
			add_table(p, schema, table);
		else
			left_out(schema, table,
			    VIEW_LIT("it is not in the existing publication"));
	}
	PQclear(tables);
	return listed(p, rc);
}

static int
pick_one(
    struct provision *p, const PGresult *tables, const struct table_name *t)
{
	for (int i = 0; i < PQntuples(tables); i++) {
		struct view state = pg_value(tables, i, T_STATE);

		if (!view_eq(pg_value(tables, i, T_SCHEMA), t->schema) ||
		    !view_eq(pg_value(tables, i, T_TABLE), t->table))
			continue;
		if (view_eq(state, VIEW_LIT("ok"))) {
			if (!view_eq(pg_value(tables, i, T_PUBLISHED),
				VIEW_LIT("t")))
				add_table(p, t->schema, t->table);
			return EXIT_DONE;
		}
		log_error("could not publish \"%.*s\".\"%.*s\": %.*s",
		    VIEW_FMT(t->schema), VIEW_FMT(t->table), VIEW_FMT(state));
		log_hint("UPDATE and DELETE would fail on the source, or not "
			 "identify the row.  Give the table a primary key "
			 "without generated columns, or ALTER TABLE ... "
			 "REPLICA IDENTITY FULL.");
		return EXIT_CONFIG;
	}
	log_error("could not publish \"%.*s\".\"%.*s\": there is no such "
		  "table",
	    VIEW_FMT(t->schema), VIEW_FMT(t->table));
	log_hint("A name is schema.table, or table for the schema public, in "
		 "double quotes unless it is lower case.  For a partition, "
		 "name its root table.");
	return EXIT_CONFIG;
}

int
provision_pick_listed(struct provision *p)
{
	const struct table_list *list = p->o->tables;
	PGresult *tables;
	int rc = list_tables(p, &tables);

	for (size_t i = 0; rc == EXIT_DONE && i < list->n; i++)
		rc = pick_one(p, tables, &list->names[i]);
	PQclear(tables);
	return listed(p, rc);
}

/* The publication */

/* Runs VERB publication WORDS tables. */
static int
change(struct provision *p, const char *doing, const char *verb,
    const char *words, PGresult **res)
{
	struct buf sql = BUF_INIT;
	int rc;

	buf_adds(&sql, verb);
	pg_add_identifier(&p->pg, &sql, view_of(p->o->publication));
	buf_adds(&sql, words);
	buf_addv(&sql, buf_view(&p->names));
	rc = buf_str(&sql) == NULL
	    ? provision_no_memory(doing)
	    : pg_query(&p->pg, doing, sql.data, 0, NULL, res);
	buf_release(&sql);
	return rc;
}

int
provision_publish(struct provision *p)
{
	PGresult *res = NULL;
	int rc;

	if (p->names.len == 0) {
		log_error("could not create the publication \"%s\": no table "
			  "of the source can be published",
		    p->o->publication);
		log_hint("Create one first, with a primary key or REPLICA "
			 "IDENTITY FULL.  Standard output has the tables left "
			 "out, with the reasons.");
		return EXIT_CONFIG;
	}
	rc = change(p, "create the publication", "CREATE PUBLICATION ",
	    " FOR TABLE ", &res);
	if (pg_is_state(res, "42501"))
		log_hint("Run it as an owner of the tables with CREATE on the "
			 "database, or as a superuser.");
	PQclear(res);
	if (rc == EXIT_DONE)
		provision_say("created publication \"%s\": %.*s",
		    p->o->publication, VIEW_FMT(buf_view(&p->names)));
	return rc;
}

static void
say_extended(const struct provision *p)
{
	if (p->names.len > 0)
		provision_say("extended publication \"%s\": %.*s",
		    p->o->publication, VIEW_FMT(buf_view(&p->names)));
}

static int
add_to_publication(struct provision *p, PGresult **res)
{
	int rc = change(p, "extend the publication", "ALTER PUBLICATION ",
	    " ADD TABLE ", res);

	if (pg_is_state(*res, "42501"))
		log_hint("Run it as the owner of the publication and of the "
			 "tables, or as a superuser.");
	return rc;
}

int
provision_extend(struct provision *p)
{
	PGresult *res = NULL;
	int rc = EXIT_DONE;

	if (p->names.len > 0)
		rc = add_to_publication(p, &res);
	PQclear(res);
	if (rc == EXIT_DONE)
		say_extended(p);
	return rc;
}

/* With a request */

static int
run(struct provision *p, const char *sql)
{
	return pg_query(&p->pg, "extend the publication", sql, 0, NULL, NULL);
}

/* The request has the tables found. */
static int
ask(struct provision *p, const struct provision_snapshot *wish)
{
	int rc = EXIT_DONE;

	if (!wish->added)
		buf_clear(&p->request.tables);
	if (wish->tables != NULL)
		rc = snapshot_request_add_list(
		    &p->request, &p->pg, p->o->publication, wish->tables);
	return rc == EXIT_DONE
	    ? snapshot_request_send(&p->request, &p->pg, p->o->slot)
	    : rc;
}

int
provision_extend_and_ask(
    struct provision *p, const struct provision_snapshot *wish)
{
	PGresult *res = NULL;
	int rc;

	if (wish->added && p->names.len == 0)
		return EXIT_DONE;
	rc = run(p, "BEGIN");
	if (rc == EXIT_DONE && p->names.len > 0)
		rc = add_to_publication(p, &res);
	PQclear(res);
	if (rc == EXIT_DONE)
		rc = ask(p, wish);
	if (rc == EXIT_DONE)
		rc = run(p, "COMMIT");
	if (rc != EXIT_DONE)
		return rc;
	say_extended(p);
	return snapshot_request_say(&p->request);
}
