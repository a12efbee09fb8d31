#include "reader/provision_steps.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/exitcode.h"
#include "base/log.h"
#include "base/text.h"
#include "reader/source.h"
#include "sql.h"

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

void
provision_say(const char *fmt, ...)
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

int
provision_no_memory(const char *what)
{
	log_error("could not %s: out of memory", what);
	return EXIT_OS;
}

static bool
is_true(const PGresult *res, int column)
{
	return view_eq(pg_value(res, 0, column), VIEW_LIT("t"));
}

/* Creates the slot; with a request in the same statement, so that nobody who is
 * killed leaves a slot whose older rows nobody asks for. */
static int
create_slot(struct provision *p, const char *request)
{
	const char *params[] = {p->o->slot, request};
	PGresult *res = NULL;
	int rc = pg_query(&p->pg, "limit the time to create the slot",
	    "SET statement_timeout = '60s'", 0, NULL, NULL);

	if (rc == EXIT_DONE)
		rc = pg_query(&p->pg, "create the replication slot",
		    request != NULL ? SQL_CREATE_SLOT_AND_ASK : SQL_CREATE_SLOT,
		    request != NULL ? 2 : 1, params, &res);
	if (rc == EXIT_DONE)
		provision_say("created slot \"%s\" at %.*s", p->o->slot,
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

/* A new slot: all published tables have rows that it will not send. */
static int
create_slot_and_ask(struct provision *p, const struct provision_snapshot *wish)
{
	struct buf content = BUF_INIT;
	int rc = EXIT_DONE;

	buf_clear(&p->request.tables);
	if (wish->tables != NULL)
		rc = snapshot_request_add_list(
		    &p->request, &p->pg, p->o->publication, wish->tables);
	if (rc == EXIT_DONE)
		rc = snapshot_request_write(&p->request, p->o->slot, &content);
	if (rc == EXIT_DONE)
		rc = create_slot(p, content.data);
	buf_release(&content);
	return rc == EXIT_DONE ? snapshot_request_say(&p->request) : rc;
}

/* Keeps two processes from creating the same objects at once. */
static int
lock(struct provision *p)
{
	return pg_query(&p->pg, "get the lock of --create and --drop",
	    "SELECT pg_advisory_lock(hashtextextended('philotes.source', 0))",
	    0, NULL, NULL);
}

static int
refuse_slot(const struct provision *p, int code, const char *reason)
{
	log_error("could not use the replication slot \"%s\": %s", p->o->slot,
	    reason);
	if (code == EXIT_CONFIG)
		log_hint("Name another slot with --slot.");
	return code;
}

/* Refuses a slot of another plugin or database. */
static int
look_up(struct provision *p, struct found *found)
{
	const char *params[] = {p->o->publication, p->o->slot};
	PGresult *res = NULL;
	int rc = lock(p);

	if (rc == EXIT_DONE)
		rc = pg_query(&p->pg, "look up publication and slot",
		    SQL_SOURCE_EXISTS, 2, params, &res);
	if (rc == EXIT_DONE) {
		found->publication = is_true(res, X_PUBLICATION);
		found->slot = is_true(res, X_SLOT);
		found->ready = is_true(res, X_READY);
		found->logical = view_eq(
		    pg_value(res, 0, X_WAL_LEVEL), VIEW_LIT("logical"));
		if (found->slot && !is_true(res, X_OURS))
			rc = refuse_slot(p, EXIT_CONFIG,
			    "it is not a pgoutput slot of this database");
	}
	PQclear(res);
	return rc;
}

static int
check_create(const struct provision *p, const struct found *found)
{
	if (!found->logical) {
		log_error("could not use the server: its wal_level is not "
			  "logical");
		log_hint("ALTER SYSTEM SET wal_level = logical, and restart "
			 "the server.");
		return EXIT_CONFIG;
	}
	if (found->slot && !found->publication) {
		log_error("could not create the publication \"%s\": the slot "
			  "\"%s\" is older",
		    p->o->publication, p->o->slot);
		log_hint("A slot cannot be read with a publication created "
			 "after it.  Drop the slot with pg-cdc-read --drop.");
		return EXIT_OPERATOR;
	}
	if (found->slot && !found->ready)
		return refuse_slot(p, EXIT_RETRY, "it is still being created");
	return EXIT_DONE;
}

/* Somebody chose the tables of an existing publication: it gets those of the
 * list only. */
static int
pick(struct provision *p, const struct found *found)
{
	return p->o->tables != NULL
	    ? provision_pick_listed(p)
	    : provision_pick_fit(p, !found->publication);
}

static int
create_missing(struct provision *p, const struct found *found)
{
	const struct provision_snapshot *wish = p->o->snapshot;
	int rc;

	if (found->slot && wish != NULL)
		return provision_extend_and_ask(p, wish);
	rc = found->publication ? provision_extend(p) : provision_publish(p);
	if (rc != EXIT_DONE || found->slot)
		return rc;
	return wish != NULL ? create_slot_and_ask(p, wish)
			    : create_slot(p, NULL);
}

static int
create_both(struct provision *p)
{
	struct found found;
	int rc = look_up(p, &found);

	if (rc == EXIT_DONE)
		rc = check_create(p, &found);
	if (rc == EXIT_DONE && p->o->snapshot != NULL)
		rc = snapshot_request_check(&p->pg);
	if (rc == EXIT_DONE)
		rc = pick(p, &found);
	if (rc == EXIT_DONE)
		rc = create_missing(p, &found);
	if (rc == EXIT_DONE && found.publication && found.slot &&
	    p->names.len == 0)
		provision_say("publication \"%s\" and slot \"%s\" exist",
		    p->o->publication, p->o->slot);
	return rc;
}

/* New tables */

static int
check_exist(const struct provision *p, const struct found *found)
{
	if (!found->publication)
		log_error("could not look for new tables: there is no "
			  "publication \"%s\"",
		    p->o->publication);
	else if (!found->slot)
		log_error("could not look for new tables: there is no slot "
			  "\"%s\"",
		    p->o->slot);
	else
		return EXIT_DONE;
	log_hint("Create it with pg-cdc-read --create.");
	return found->publication ? EXIT_OPERATOR : EXIT_CONFIG;
}

static int
look_for_new(struct provision *p)
{
	struct found found;
	int rc = look_up(p, &found);

	if (rc == EXIT_DONE)
		rc = check_exist(p, &found);
	return rc == EXIT_DONE ? provision_pick_fit(p, false) : rc;
}

static int
add_new(struct provision *p)
{
	static const struct provision_snapshot wish = {.added = true};
	struct found found;
	int rc = look_up(p, &found);

	if (rc == EXIT_DONE)
		rc = check_exist(p, &found);
	if (rc == EXIT_DONE)
		rc = provision_pick_fit(p, true);
	return rc == EXIT_DONE ? provision_extend_and_ask(p, &wish) : rc;
}

/* Dropping */

static int
drop_slot(struct provision *p)
{
	const char *params[] = {p->o->slot};
	PGresult *res;
	int rc = pg_query(&p->pg, "drop the replication slot", SQL_DROP_SLOT, 1,
	    params, &res);

	if (pg_is_state(res, "42501"))
		log_hint("%s", needs_replication);
	else if (pg_is_state(res, "55006"))
		log_hint("Stop the pg-cdc-read that reads it.");
	if (rc == EXIT_DONE)
		provision_say("%s slot \"%s\"",
		    PQntuples(res) > 0 ? "dropped" : "there was no",
		    p->o->slot);
	PQclear(res);
	return rc;
}

static int
drop_publication(struct provision *p)
{
	struct buf sql = BUF_INIT;
	PGresult *res = NULL;
	int rc;

	buf_adds(&sql, "DROP PUBLICATION ");
	pg_add_identifier(&p->pg, &sql, view_of(p->o->publication));
	if (buf_str(&sql) == NULL)
		rc = provision_no_memory("drop the publication");
	else
		rc = pg_query(
		    &p->pg, "drop the publication", sql.data, 0, NULL, &res);
	if (pg_is_state(res, "42501"))
		log_hint("Run it as the publication's owner or as a "
			 "superuser.");
	PQclear(res);
	if (rc == EXIT_DONE)
		provision_say("dropped publication \"%s\"", p->o->publication);
	buf_release(&sql);
	return rc;
}

static int
drop_both(struct provision *p)
{
	struct found found;
	int rc = look_up(p, &found);

	if (rc == EXIT_DONE)
		rc = drop_slot(p);
	if (rc == EXIT_DONE && found.publication)
		rc = drop_publication(p);
	else if (rc == EXIT_DONE)
		provision_say(
		    "there was no publication \"%s\"", p->o->publication);
	return rc;
}

static int
drop_slot_alone(struct provision *p)
{
	struct found found;
	int rc = look_up(p, &found);

	return rc == EXIT_DONE ? drop_slot(p) : rc;
}

static int
with_source(const struct provision_options *o, int (*act)(struct provision *))
{
	struct provision p = {.o = o};
	int rc = snapshot_request_init(&p.request, o->key_file);

	if (rc == EXIT_DONE)
		rc = source_connect(&p.pg, o->conninfo);
	p.pg.slow = true;
	if (rc == EXIT_DONE)
		rc = act(&p);
	pg_close(&p.pg);
	buf_release(&p.names);
	snapshot_request_release(&p.request);
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
provision_new_tables(const struct provision_options *o, bool add)
{
	return with_source(o, add ? add_new : look_for_new);
}

int
provision_drop(const struct provision_options *o)
{
	return with_source(o, drop_both);
}

int
provision_drop_slot(const struct provision_options *o)
{
	return with_source(o, drop_slot_alone);
}
