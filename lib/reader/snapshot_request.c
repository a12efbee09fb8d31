#include "reader/snapshot_request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/exitcode.h"
#include "base/json_write.h"
#include "base/log.h"
#include "reader/snapshot_seal.h"
#include "reader/source.h"
#include "sql.h"

static const char doing[] = "ask for a snapshot";

int
snapshot_request_init(struct snapshot_request *r, const char *key_file)
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
		log_error("could not %s: no random number", doing);
		return EXIT_OS;
	}
	snprintf(r->id, sizeof(r->id), "%016" PRIx64, random);
	return snapshot_key_read(&r->key, key_file);
}

void
snapshot_request_release(struct snapshot_request *r)
{
	buf_release(&r->tables);
	snapshot_key_release(&r->key);
}

/* Its name, "schema"."table", in a JSON string. */
void
snapshot_request_add(struct snapshot_request *r, struct pg *pg,
    struct view schema, struct view table)
{
	struct buf name = BUF_INIT;

	pg_add_identifier(pg, &name, schema);
	buf_addc(&name, '.');
	pg_add_identifier(pg, &name, table);
	buf_adds(&r->tables, r->tables.len > 0 ? "," : "");
	json_write_string(&r->tables, buf_view(&name));
	buf_release(&name);
}

static int
check_published(
    struct pg *pg, const char *publication, const struct table_name *t)
{
	struct buf schema = BUF_INIT, table = BUF_INIT;
	const char *params[4] = {publication, ""};
	PGresult *res = NULL;
	int rc;

	buf_addv(&schema, t->schema);
	buf_addv(&table, t->table);
	params[2] = buf_str(&schema);
	params[3] = buf_str(&table);
	rc = pg_query(pg, doing, SQL_SNAPSHOT_TABLES, 4, params, &res);
	if (rc == EXIT_DONE && PQntuples(res) == 0) {
		log_error(
		    "could not ask for a snapshot of \"%s\".\"%s\": it is "
		    "not in the publication \"%s\"",
		    params[2], params[3], publication);
		log_hint("Publish it first: pg-cdc-read --create --tables "
			 "adds it.");
		rc = EXIT_CONFIG;
	}
	PQclear(res);
	buf_release(&schema);
	buf_release(&table);
	return rc;
}

int
snapshot_request_add_list(struct snapshot_request *r, struct pg *pg,
    const char *publication, const struct table_list *list)
{
	int rc = EXIT_DONE;

	for (size_t i = 0; rc == EXIT_DONE && i < list->n; i++) {
		const struct table_name *t = &list->names[i];

		rc = check_published(pg, publication, t);
		snapshot_request_add(r, pg, t->schema, t->table);
	}
	return rc;
}

int
snapshot_request_write(
    const struct snapshot_request *r, const char *slot, struct buf *content)
{
	buf_addf(
	    content, "{\"id\":\"%s\",\"slot\":\"%s\",\"tables\":", r->id, slot);
	if (r->tables.len > 0 || r->tables.failed) {
		buf_addc(content, '[');
		buf_addv(content, buf_view(&r->tables));
		buf_adds(content, "]}");
	} else {
		buf_adds(content, "null}");
	}
	snapshot_seal(&r->key, content);
	if (!r->tables.failed && buf_str(content) != NULL)
		return EXIT_DONE;
	log_error("could not %s: out of memory", doing);
	return EXIT_OS;
}

static void
hint(const PGresult *res)
{
	if (pg_is_state(res, "42501"))
		log_hint("The role needs EXECUTE on the function "
			 "pg_logical_emit_message.");
}

/* EXPLAIN checks the permission without writing a message. */
int
snapshot_request_check(struct pg *pg)
{
	const char *params[] = {""};
	PGresult *res = NULL;
	int rc = pg_query(
	    pg, doing, "EXPLAIN " SQL_SNAPSHOT_MARKER, 1, params, &res);

	hint(res);
	PQclear(res);
	return rc;
}

int
snapshot_request_send(
    const struct snapshot_request *r, struct pg *pg, const char *slot)
{
	struct buf content = BUF_INIT;
	const char *params[1];
	PGresult *res = NULL;
	int rc = snapshot_request_write(r, slot, &content);

	params[0] = buf_str(&content);
	if (rc == EXIT_DONE)
		rc = pg_query(pg, doing, SQL_SNAPSHOT_MARKER, 1, params, &res);
	hint(res);
	PQclear(res);
	buf_release(&content);
	return rc;
}

int
snapshot_request_say(const struct snapshot_request *r)
{
	printf("asked for snapshot \"%s\" of %s\n", r->id,
	    r->tables.len > 0 ? "the tables named" : "all published tables");
	if (fflush(stdout) == 0)
		return EXIT_DONE;
	log_error("could not write \"stdout\": %s", strerror(errno));
	return EXIT_IO;
}

int
snapshot_request(
    const struct provision_options *o, const struct table_list *tables)
{
	struct snapshot_request r = {0};
	struct pg pg = {0};
	int rc = snapshot_request_init(&r, o->key_file);

	if (rc == EXIT_DONE)
		rc = source_connect(&pg, o->conninfo);
	if (rc == EXIT_DONE && tables != NULL)
		rc = snapshot_request_add_list(&r, &pg, o->publication, tables);
	if (rc == EXIT_DONE)
		rc = snapshot_request_send(&r, &pg, o->slot);
	pg_close(&pg);
	if (rc == EXIT_DONE)
		rc = snapshot_request_say(&r);
	snapshot_request_release(&r);
	return rc;
}
