#include "reader/snapshot_command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/exitcode.h"
#include "base/log.h"
#include "reader/snapshot_seal.h"
#include "reader/source.h"
#include "sql.h"

static const char doing[] = "write a command for snapshots";

static const char *const names[] = {
    [SNAPSHOT_PAUSE] = "pause",
    [SNAPSHOT_RESUME] = "resume",
    [SNAPSHOT_CANCEL] = "cancel",
};

static int
write_content(const struct provision_options *o, const char *content)
{
	struct pg pg = {0};
	const char *params[] = {content};
	PGresult *res = NULL;
	int rc = source_connect(&pg, o->conninfo);

	if (rc == EXIT_DONE)
		rc = pg_query(&pg, doing, SQL_SNAPSHOT_MARKER, 1, params, &res);
	if (pg_is_state(res, "42501"))
		log_hint("The role needs EXECUTE on the function "
			 "pg_logical_emit_message.");
	PQclear(res);
	pg_close(&pg);
	return rc;
}

static int
write_command(const struct provision_options *o, const char *name)
{
	struct snapshot_key key = {0};
	struct buf content = BUF_INIT;
	int rc = snapshot_key_read(&key, o->key_file);

	buf_addf(&content, "{\"do\":\"%s\",\"slot\":\"%s\"}", name, o->slot);
	snapshot_seal(&key, &content);
	snapshot_key_release(&key);
	if (rc == EXIT_DONE && buf_str(&content) == NULL) {
		log_error("could not %s: out of memory", doing);
		rc = EXIT_OS;
	}
	if (rc == EXIT_DONE)
		rc = write_content(o, content.data);
	buf_release(&content);
	return rc;
}

int
snapshot_command(const struct provision_options *o, enum snapshot_kind command)
{
	int rc = write_command(o, names[command]);

	if (rc != EXIT_DONE)
		return rc;
	printf("told the snapshots of slot \"%s\" to %s\n", o->slot,
	    names[command]);
	if (fflush(stdout) == 0)
		return EXIT_DONE;
	log_error("could not write \"stdout\": %s", strerror(errno));
	return EXIT_IO;
}
