#include "reader/provision.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/exitcode.h"
#include "base/log.h"
#include "base/text.h"
#include "reader/source.h"
#include "sql.h"

/* Columns of source_tables.sql. */
enum { T_SCHEMA, T_TABLE, T_STATE, T_PUBLISHED };

/* Columns of source_exists.sql. */
enum { X_PUBLICATION, X_SLOT, X_OURS, X_READY, X_WAL_LEVEL };

struct found {
	bool publication;
	bool slot;
	bool ready;   /* the slot is created completely */
	bool logical; /* wal_level */
};

static const char needs_replication[] =
    "The role needs the attribute REPLICATION: have a superuser run ALTER ROLE "
    "... REPLICATION.";

struct setup {
	const struct provision_options *o;
	struct pg pg;
	struct buf names; /* tables to publish, for SQL */
};

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Prints a line on stdout. */
static void
say(const char *fmt, ...)
{
	struct buf text = BUF_INIT, line = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_addvf(&text, fmt, ap);
	va_end(ap);
	text_add_line(&line, buf_view(&text));
	printf("%.*s\n", VIEW_FMT(buf_view(&line)));
	buf_release(&text);
	buf_release(&line);
}

static int
out_of_memory(const char *what)
{
	log_error("could not %s: out of memory", what);
	return EXIT_OS;
}

static bool
is_true(const PGresult *res, int column)
{
	return view_eq(pg_value(res, 0, column), VIEW_LIT("t"));
}

static void
add_table(struct setup *s, struct view schema, struct view table)
{
	if (s->names.len > 0)
		buf_addc(&s->names, ',');
	pg_add_identifier(&s->pg, &s->names, schema);
	buf_addc(&s->names, '.');
	pg_add_identifier(&s->pg, &s->names, table);
}

static void
left_out(struct view schema, struct view table, struct view why)
{
	say("left out \"%.*s\".\"%.*s\": %.*s", VIEW_FMT(schema),
	    VIEW_FMT(table), VIEW_FMT(why));
}

/* Picks every table that can be published, for a new publication.  Somebody
 * chose the tables of an existing one: it is left as it is. */
static void
pick_all(struct setup *s, const PGresult *tables, bool exists)
{
	for (int i = 0; i < PQntuples(tables); i++) {
		struct view schema = pg_value(tables, i, T_SCHEMA);
		struct view table = pg_value(tables, i, T_TABLE);
		struct view state = pg_value(tables, i, T_STATE);

		if (view_eq(pg_value(tables, i, T_PUBLISHED), VIEW_LIT("t")))
			continue;
		if (!view_eq(state, VIEW_LIT("ok")))
			left_out(schema, table, state);
		else if (exists)
			left_out(schema, table,
			    VIEW_LIT("it is not in the existing publication"));
		else
			add_table(s, schema, table);
	}
}

static int
pick_one(struct setup *s, const PGresult *tables, const struct table_name *t)
{
	for (int i = 0; i < PQntuples(tables); i++) {
		struct view state = pg_value(tables, i, T_STATE);

		if (!view_eq(pg_value(tables, i, T_SCHEMA), t->schema) ||
		    !view_eq(pg_value(tables, i, T_TABLE), t->table))
			continue;
		if (view_eq(state, VIEW_LIT("ok"))) {
			if (!view_eq(pg_value(tables, i, T_PUBLISHED),
				VIEW_LIT("t")))
				add_table(s, t->schema, t->table);
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

static int
pick_tables(struct setup *s, bool exists)
{
	const char *params[] = {s->o->publication};
	PGresult *tables;
	int rc = pg_query(&s->pg, "list the tables of the source",
	    SQL_SOURCE_TABLES, 1, params, &tables);

	if (rc == EXIT_DONE && s->o->tables == NULL)
		pick_all(s, tables, exists);
	for (size_t i = 0;
	     rc == EXIT_DONE && s->o->tables != NULL && i < s->o->tables->n;
	     i++)
		rc = pick_one(s, tables, &s->o->tables->names[i]);
	PQclear(tables);
	if (rc == EXIT_DONE && buf_str(&s->names) == NULL)
		rc = out_of_memory("list the tables of the source");
	return rc;
}

static int
create_publication(struct setup *s, bool exists)
{
	struct buf sql = BUF_INIT;
	PGresult *res = NULL;
	int rc = pick_tables(s, exists);

	if (rc != EXIT_DONE || s->names.len == 0) {
		if (rc == EXIT_DONE && !exists) {
			log_error("could not create the publication \"%s\": "
				  "no table of the source can be published",
			    s->o->publication);
			log_hint("Create one first, with a primary key or "
				 "REPLICA IDENTITY FULL.  Standard output has "
				 "the tables left out, with the reasons.");
			rc = EXIT_CONFIG;
		}
		return rc;
	}
	buf_adds(&sql, exists ? "ALTER PUBLICATION " : "CREATE PUBLICATION ");
	pg_add_identifier(&s->pg, &sql, view_of(s->o->publication));
	buf_adds(&sql, exists ? " ADD TABLE " : " FOR TABLE ");
	buf_addv(&sql, buf_view(&s->names));
	if (buf_str(&sql) == NULL)
		rc = out_of_memory("create the publication");
	else
		rc = pg_query(&s->pg,
		    exists ? "extend the publication"
			   : "create the publication",
		    sql.data, 0, NULL, &res);
	if (pg_is_state(res, "42501"))
		log_hint(exists ? "Run it as the owner of the publication and "
				  "of the tables, or as a superuser."
				: "Run it as an owner of the tables with "
				  "CREATE on the database, or as a superuser.");
	PQclear(res);
	if (rc == EXIT_DONE)
		say("%s publication \"%s\": %.*s",
		    exists ? "extended" : "created", s->o->publication,
		    VIEW_FMT(buf_view(&s->names)));
	buf_release(&sql);
	return rc;
}

static int
create_slot(struct setup *s)
{
	const char *params[] = {s->o->slot};
	PGresult *res = NULL;
	int rc = pg_query(&s->pg, "limit the time to create the slot",
	    "SET statement_timeout = '60s'", 0, NULL, NULL);

	if (rc == EXIT_DONE)
		rc = pg_query(&s->pg, "create the replication slot",
		    SQL_CREATE_SLOT, 1, params, &res);
	if (rc == EXIT_DONE)
		say("created slot \"%s\" at %.*s", s->o->slot,
		    VIEW_FMT(pg_value(res, 0, 0)));
	else if (pg_is_state(res, "57014"))
		log_hint("Creating a slot waits for all transactions that are "
			 "open when it begins: see "
			 "pg_stat_activity.xact_start.");
	else if (pg_is_state(res, "42501"))
		log_hint("%s", needs_replication);
	else if (pg_is_state(res, "53400"))
		log_hint("Raise max_replication_slots and restart the server, "
			 "or drop a slot: see pg_replication_slots.");
	PQclear(res);
	return rc;
}

/* Keeps two processes from creating the same objects at once. */
static int
lock(struct setup *s)
{
	return pg_query(&s->pg, "get the lock of --create and --drop",
	    "SELECT pg_advisory_lock(hashtextextended('philotes.source', 0))",
	    0, NULL, NULL);
}

static int
refuse_slot(const struct setup *s, int code, const char *reason)
{
	log_error("could not use the replication slot \"%s\": %s", s->o->slot,
	    reason);
	if (code == EXIT_CONFIG)
		log_hint("Name another slot with --slot.");
	return code;
}

/* Refuses a slot of another plugin or database. */
static int
look_up(struct setup *s, struct found *found)
{
	const char *params[] = {s->o->publication, s->o->slot};
	PGresult *res = NULL;
	int rc = lock(s);

	if (rc == EXIT_DONE)
		rc = pg_query(&s->pg, "look up publication and slot",
		    SQL_SOURCE_EXISTS, 2, params, &res);
	if (rc == EXIT_DONE) {
		found->publication = is_true(res, X_PUBLICATION);
		found->slot = is_true(res, X_SLOT);
		found->ready = is_true(res, X_READY);
		found->logical = view_eq(
		    pg_value(res, 0, X_WAL_LEVEL), VIEW_LIT("logical"));
		if (found->slot && !is_true(res, X_OURS))
			rc = refuse_slot(s, EXIT_CONFIG,
			    "it is not a pgoutput slot of this database");
	}
	PQclear(res);
	return rc;
}

static int
create_both(struct setup *s)
{
	struct found found;
	int rc = look_up(s, &found);

	if (rc == EXIT_DONE && !found.logical) {
		log_error("could not use the server: its wal_level is not "
			  "logical");
		log_hint("ALTER SYSTEM SET wal_level = logical, and restart "
			 "the server.");
		rc = EXIT_CONFIG;
	}
	if (rc == EXIT_DONE && found.slot && !found.publication) {
		log_error("could not create the publication \"%s\": the slot "
			  "\"%s\" is older",
		    s->o->publication, s->o->slot);
		log_hint("A slot cannot be read with a publication created "
			 "after it.  Drop the slot with pg-cdc-read --drop.");
		rc = EXIT_OPERATOR;
	}
	if (rc == EXIT_DONE && found.slot && !found.ready)
		rc = refuse_slot(s, EXIT_RETRY, "it is still being created");
	if (rc == EXIT_DONE)
		rc = create_publication(s, found.publication);
	if (rc == EXIT_DONE && !found.slot)
		rc = create_slot(s);
	if (rc == EXIT_DONE && found.publication && found.slot &&
	    s->names.len == 0)
		say("publication \"%s\" and slot \"%s\" exist",
		    s->o->publication, s->o->slot);
	return rc;
}

static int
drop_slot(struct setup *s)
{
	const char *params[] = {s->o->slot};
	PGresult *res;
	int rc = pg_query(&s->pg, "drop the replication slot", SQL_DROP_SLOT, 1,
	    params, &res);

	if (pg_is_state(res, "42501"))
		log_hint("%s", needs_replication);
	else if (pg_is_state(res, "55006"))
		log_hint("Stop the pg-cdc-read that reads it.");
	if (rc == EXIT_DONE)
		say("%s slot \"%s\"",
		    PQntuples(res) > 0 ? "dropped" : "there was no",
		    s->o->slot);
	PQclear(res);
	return rc;
}

static int
drop_publication(struct setup *s)
{
	struct buf sql = BUF_INIT;
	PGresult *res = NULL;
	int rc;

	buf_adds(&sql, "DROP PUBLICATION ");
	pg_add_identifier(&s->pg, &sql, view_of(s->o->publication));
	if (buf_str(&sql) == NULL)
		rc = out_of_memory("drop the publication");
	else
		rc = pg_query(
		    &s->pg, "drop the publication", sql.data, 0, NULL, &res);
	if (pg_is_state(res, "42501"))
		log_hint("Run it as the publication's owner or as a "
			 "superuser.");
	PQclear(res);
	if (rc == EXIT_DONE)
		say("dropped publication \"%s\"", s->o->publication);
	buf_release(&sql);
	return rc;
}

static int
drop_both(struct setup *s)
{
	struct found found;
	int rc = look_up(s, &found);

	if (rc == EXIT_DONE)
		rc = drop_slot(s);
	if (rc == EXIT_DONE && found.publication)
		rc = drop_publication(s);
	else if (rc == EXIT_DONE)
		say("there was no publication \"%s\"", s->o->publication);
	return rc;
}

static int
with_source(const struct provision_options *o, int (*act)(struct setup *))
{
	struct setup s = {.o = o};
	int rc = source_connect(&s.pg, o->conninfo);

	s.pg.slow = true;
	if (rc == EXIT_DONE)
		rc = act(&s);
	pg_close(&s.pg);
	buf_release(&s.names);
	if (fflush(stdout) != 0 && rc == EXIT_DONE) {
		log_error("could not write \"stdout\": %s", strerror(errno));
		rc = EXIT_IO;
	}
	return rc;
}

int
provision_create(const struct provision_options *o)
{
	return with_source(o, create_both);
}

int
provision_drop(const struct provision_options *o)
{
	return with_source(o, drop_both);
}
