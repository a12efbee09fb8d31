#include "reader/snapshot_request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/exitcode.h"
#include "base/json_write.h"
#include "base/log.h"
#include "reader/source.h"
#include "sql.h"

static const char doing[] = "ask for a snapshot";

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

/* "schema"."table" in a JSON string. */
static void
add_name(struct pg *pg, struct buf *json, const struct table_name *t)
{
	struct buf name = BUF_INIT;

	pg_add_identifier(pg, &name, t->schema);
	buf_addc(&name, '.');
	pg_add_identifier(pg, &name, t->table);
	json_write_string(json, buf_view(&name));
	buf_release(&name);
}

static int
write_request(struct pg *pg, const char *slot, const char *id,
    const struct table_list *tables)
{
	struct buf content = BUF_INIT;
	const char *params[1];
	PGresult *res = NULL;
	int rc;

	buf_addf(
	    &content, "{\"id\":\"%s\",\"slot\":\"%s\",\"tables\":", id, slot);
	buf_adds(&content, tables != NULL ? "[" : "null");
	for (size_t i = 0; tables != NULL && i < tables->n; i++) {
		buf_adds(&content, i > 0 ? "," : "");
		add_name(pg, &content, &tables->names[i]);
	}
	buf_adds(&content, tables != NULL ? "]}" : "}");
	params[0] = buf_str(&content);
	if (params[0] == NULL) {
		log_error("could not %s: out of memory", doing);
		rc = EXIT_OS;
	} else {
		rc = pg_query(pg, doing, SQL_SNAPSHOT_MARKER, 1, params, &res);
	}
	if (pg_is_state(res, "42501"))
		log_hint("The role needs EXECUTE on the function "
			 "pg_logical_emit_message.");
	PQclear(res);
	buf_release(&content);
	return rc;
}

static int
new_id(char id[17])
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
		log_error("could not %s: no random number", doing);
		return EXIT_OS;
	}
	snprintf(id, 17, "%016" PRIx64, random);
	return EXIT_DONE;
}

int
snapshot_request(
    const struct provision_options *o, const struct table_list *tables)
{
	struct pg pg = {0};
	char id[17];
	int rc = new_id(id);

	if (rc == EXIT_DONE)
		rc = source_connect(&pg, o->conninfo);
	for (size_t i = 0; rc == EXIT_DONE && tables != NULL && i < tables->n;
	     i++)
		rc = check_published(&pg, o->publication, &tables->names[i]);
	if (rc == EXIT_DONE)
		rc = write_request(&pg, o->slot, id, tables);
	pg_close(&pg);
	if (rc != EXIT_DONE)
		return rc;
	printf("asked for snapshot \"%s\" of %s\n", id,
	    tables != NULL ? "the tables named" : "all published tables");
	if (fflush(stdout) != 0) {
		log_error("could not write \"stdout\": %s", strerror(errno));
		return EXIT_IO;
	}
	return EXIT_DONE;
}
