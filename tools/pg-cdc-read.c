/* The changes of a PostgreSQL database as lines on stdout: pg-cdc-read(1). */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/exitcode.h"
#include "base/log.h"
#include "base/opts.h"
#include "base/utf8.h"
#include "pg/pg_connect.h"
#include "reader/check.h"
#include "reader/chunk.h"
#include "reader/provision.h"
#include "reader/reader.h"
#include "reader/snapshot_command.h"
#include "reader/snapshot_request.h"
#include "reader/start_line.h"
#include "stream/ack.h"
#include "stream/event.h"

#define NAME_BYTES 64 /* of PostgreSQL, with the NUL */

static struct reader_options reader = {
    .slot = "philotes_cdc",
    .publication = "philotes_pub",
    .server_timeout = -1,
    .snapshot_pause = 300,
    .snapshot_workers = 2,
};
static bool create, drop, drop_slot, check, start_line;
static const char *tables, *snapshot;
static int new_tables = -1;
static const char *const new_tables_words[] = {"warn", "add", NULL};

/* as in enum snapshot_kind, from SNAPSHOT_PAUSE on */
static const char *const commands[] = {"pause", "resume", "cancel", NULL};
static int command = -1; /* an index of these; -1: none */

enum mode {
	READ = 0,
	CREATE = 1,
	DROP = 2,
	CHECK = 4,
	START_LINE = 8,
	SNAPSHOT = 16,
	NEW_TABLES = 32,
	COMMAND = 64,
};
#define ASK      (SNAPSHOT | COMMAND)
#define NOT_READ (CREATE | DROP | CHECK | START_LINE | NEW_TABLES | ASK)

static const struct opt table[] = {
    {'d', "source", "CONNINFO", OPT_TEXT, &reader.conninfo,
	"PHILOTES_SOURCE_URL", "the database to read", 0, NULL},
    {0, "source-id", "NAME", OPT_TEXT, &reader.source_id, "PHILOTES_SOURCE_ID",
	"source name in events (postgres-DATABASE)", 0, NULL},
    {0, "slot", "NAME", OPT_TEXT, &reader.slot, "PHILOTES_SLOT",
	"replication slot (philotes_cdc)", 0, NULL},
    {0, "publication", "NAME", OPT_TEXT, &reader.publication,
	"PHILOTES_PUBLICATION", "publication (philotes_pub)", 0, NULL},
    {0, "tables", "LIST", OPT_TEXT, &tables, "PHILOTES_TABLES",
	"only these tables: a,schema.b (all)", 0, NULL},
    {0, "create", NULL, OPT_FLAG, &create, NULL,
	"create publication and slot, and exit", 0, NULL},
    {0, "drop", NULL, OPT_FLAG, &drop, NULL,
	"drop slot and publication, and exit", 0, NULL},
    {0, "drop-slot", NULL, OPT_FLAG, &drop_slot, NULL,
	"drop the slot alone, and exit", 0, NULL},
    {0, "new-tables", "warn|add", OPT_CHOICE, &new_tables, NULL,
	"find or add tables that are not published, and exit", 0,
	new_tables_words},
    {0, "check", NULL, OPT_FLAG, &check, NULL,
	"report whether the source can be read, and exit", 0, NULL},
    {0, "start-line", NULL, OPT_FLAG, &start_line, NULL,
	"print the start line of a stream, and exit", 0, NULL},
    {0, "snapshot", "LIST|all|new", OPT_TEXT, &snapshot, NULL,
	"ask for the rows that these tables hold, and exit", 0, NULL},
    {0, "snapshot-do", "pause|resume|cancel", OPT_CHOICE, &command, NULL,
	"tell the snapshots of the slot to do this, and exit", 0, commands},
    {0, "ack", "FILE", OPT_TEXT, &reader.ack, NULL,
	"read acknowledged positions from FILE", 0, NULL},
    {0, "failures", "FILE", OPT_TEXT, &reader.failures, NULL,
	"exit with 69 if a change fails three times", 0, NULL},
    {0, "until", "LSN|now|snapshot", OPT_TEXT, &reader.until, NULL,
	"stop once this position is reached", 0, NULL},
    {0, "messages", NULL, OPT_FLAG, &reader.messages, NULL,
	"print logical decoding messages too", 0, NULL},
    {0, "safe-numbers", NULL, OPT_FLAG, &reader.safe_numbers, NULL,
	"numbers that floating point does not keep as strings", 0, NULL},
    {0, "schema", NULL, OPT_FLAG, &reader.schema, NULL,
	"print schema lines, as with --ack", 0, NULL},
    {0, "heartbeat", "DURATION", OPT_DURATION, &reader.heartbeat,
	"PHILOTES_HEARTBEAT", "write a heartbeat this often (never)", 0, NULL},
    {0, "snapshot-pause", "DURATION", OPT_DURATION, &reader.snapshot_pause,
	"PHILOTES_SNAPSHOT_PAUSE",
	"a snapshot lets the stream rest this long at a time (300ms)", 0, NULL},
    {0, "snapshot-workers", "N", OPT_COUNT, &reader.snapshot_workers,
	"PHILOTES_SNAPSHOT_WORKERS",
	"connections that read the tables of a snapshot (2)", 1, NULL},
    {0, "snapshot-lock", NULL, OPT_FLAG, &reader.snapshot_lock, NULL,
	"lock a busy table without a key for its snapshot", 0, NULL},
    {0, "no-snapshot", NULL, OPT_FLAG, &reader.no_snapshot, NULL,
	"leave requests for snapshots alone", 0, NULL},
    {0, "snapshot-key-file", "FILE", OPT_TEXT, &reader.snapshot_key_file,
	"PHILOTES_SNAPSHOT_KEY_FILE",
	"obey only messages that are sealed with the key in FILE", 0, NULL},
    {0, "server-timeout", "DURATION", OPT_DURATION, &reader.server_timeout,
	"PHILOTES_SERVER_TIMEOUT", "give up on a server silent this long (60s)",
	0, NULL},
};

static const struct opts opts = {
    "pg-cdc-read",
    "pg-cdc-read [-qv] [-d CONNINFO] [--ack FILE] [OPTION ...]\n"
    "       pg-cdc-read --create | --drop | --drop-slot | --check |\n"
    "                   --start-line | --new-tables warn|add |\n"
    "                   --snapshot LIST|all|new |\n"
    "                   --snapshot-do pause|resume|cancel [OPTION ...]",
    "Prints every committed change of a PostgreSQL database, one JSON line "
    "each.",
    table,
    sizeof(table) / sizeof(*table),
    (const int[]){64, 65, 69, 70, 71, 74, 75, 76, 77, 78, 0},
};

/* A writer of the ack FIFO blocks in open(2) until we open it, too.  So this
 * opens it once, even if we fail early. */
static int
fail(int rc)
{
	struct ack_channel acks;
	struct stat st;

	if (rc != EXIT_DONE && reader.ack != NULL &&
	    stat(reader.ack, &st) == 0 && S_ISFIFO(st.st_mode)) {
		ack_channel_open(&acks, reader.ack);
		ack_channel_close(&acks);
	}
	return rc;
}

/* The exit code for a bad value of a flag, or of its variable. */
static int
setting_code(const char *text, const char *variable)
{
	return text == getenv(variable) ? EXIT_CONFIG : EXIT_USAGE;
}

static int
refuse_name(
    const char *what, const char *text, const char *variable, const char *why)
{
	log_error("could not use the %s \"%s\": %s", what, text, why);
	return setting_code(text, variable);
}

/* Checked here, because the server would truncate a name that is too long. */
static int
check_names(void)
{
	const struct {
		const char *what, *text, *variable;
	} names[] = {
	    {"publication", reader.publication, "PHILOTES_PUBLICATION"},
	    {"tables", tables, "PHILOTES_TABLES"},
	    {"source id", reader.source_id, "PHILOTES_SOURCE_ID"},
	};
	size_t slot = strlen(reader.slot);

	if (slot >= NAME_BYTES ||
	    strspn(reader.slot, "abcdefghijklmnopqrstuvwxyz0123456789_") !=
		slot)
		return refuse_name("slot", reader.slot, "PHILOTES_SLOT",
		    "a name has at most 63 of a-z, 0-9 and _");
	if (strlen(reader.publication) >= NAME_BYTES)
		return refuse_name("publication", reader.publication,
		    "PHILOTES_PUBLICATION", "a name has at most 63 bytes");
	if (reader.source_id != NULL &&
	    strlen(reader.source_id) > SOURCE_ID_MAX)
		return refuse_name("source id", reader.source_id,
		    "PHILOTES_SOURCE_ID", "it has more than 512 bytes");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!utf8_valid(view_of(names[i].text)))
			return refuse_name(names[i].what, names[i].text,
			    names[i].variable, "not UTF-8");
	return EXIT_DONE;
}

static int
check_workers(void)
{
	if (reader.snapshot_workers <= CHUNK_LANES)
		return EXIT_DONE;
	if (opts_given(&opts, &reader.snapshot_workers))
		return opts_usage(
		    &opts, "--snapshot-workers is at most %d", CHUNK_LANES);
	log_error(
	    "could not use PHILOTES_SNAPSHOT_WORKERS: at most %d", CHUNK_LANES);
	return EXIT_CONFIG;
}

/* The mode that the flags ask for, and the flag. */
static enum mode
find_mode(const char **flag, int *given)
{
	const struct {
		bool given;
		enum mode mode;
		const char *flag;
	} modes[] = {
	    {create, CREATE, "--create"},
	    {drop, DROP, "--drop"},
	    {drop_slot, DROP, "--drop-slot"},
	    {check, CHECK, "--check"},
	    {start_line, START_LINE, "--start-line"},
	    {new_tables >= 0, NEW_TABLES, "--new-tables"},
	};
	enum mode mode = snapshot != NULL ? SNAPSHOT
	    : command >= 0                ? COMMAND
					  : READ;

	*flag = mode == COMMAND ? "--snapshot-do" : "--snapshot";
	*given = 0;
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		if (!modes[i].given)
			continue;
		mode = modes[i].mode;
		*flag = modes[i].flag;
		(*given)++;
	}
	return mode;
}

/* Refuses flags that have no effect in the mode.  Variables are accepted: they
 * are set for all programs of a pipeline. */
static int
check_mode(void)
{
	static const struct {
		const char *option;
		const void *dest;
		int modes; /* without effect in these */
	} no_effect[] = {
	    {"--source-id", &reader.source_id,
		CREATE | DROP | CHECK | NEW_TABLES | ASK},
	    {"--tables", &tables, DROP | START_LINE | ASK},
	    {"--ack", &reader.ack, NOT_READ},
	    {"--failures", &reader.failures, NOT_READ},
	    {"--until", &reader.until, NOT_READ},
	    {"--messages", &reader.messages, NOT_READ},
	    {"--safe-numbers", &reader.safe_numbers, NOT_READ},
	    {"--schema", &reader.schema, NOT_READ},
	    {"--heartbeat", &reader.heartbeat,
		CREATE | DROP | START_LINE | NEW_TABLES | ASK},
	    {"--snapshot-pause", &reader.snapshot_pause, NOT_READ},
	    {"--snapshot-workers", &reader.snapshot_workers, NOT_READ},
	    {"--snapshot-lock", &reader.snapshot_lock, NOT_READ},
	    {"--no-snapshot", &reader.no_snapshot, NOT_READ},
	    {"--snapshot-key-file", &reader.snapshot_key_file,
		DROP | START_LINE},
	    {"--snapshot", &snapshot, DROP | CHECK | START_LINE | NEW_TABLES},
	    {"--snapshot-do", &command, NOT_READ & ~COMMAND},
	};
	const char *flag;
	int given;
	enum mode mode = find_mode(&flag, &given);

	if (given > 1)
		return opts_usage(&opts,
		    "only one of --create, --drop, --drop-slot, --check, "
		    "--start-line and --new-tables");
	for (size_t i = 0; i < sizeof(no_effect) / sizeof(*no_effect); i++) {
		if ((no_effect[i].modes & (int)mode) != 0 &&
		    opts_given(&opts, no_effect[i].dest))
			return opts_usage(&opts, "%s has no effect with %s",
			    no_effect[i].option, flag);
	}
	if (mode == SNAPSHOT && strcmp(snapshot, "new") == 0)
		return opts_usage(&opts, "--snapshot new needs --create");
	return EXIT_DONE;
}

/* Creates, and asks for the rows that are wished for; without --create it only
 * asks. */
static int
create_or_ask(const struct provision_options *base)
{
	struct provision_options source = *base;
	struct table_list list = {0};
	struct provision_snapshot wish = {
	    .added = strcmp(snapshot, "new") == 0,
	    .tables = NULL,
	};
	const char *reason;
	int rc;

	if (!wish.added && strcmp(snapshot, "all") != 0)
		wish.tables = &list;
	source.snapshot = &wish;
	if (wish.tables != NULL && !table_list_parse(&list, snapshot, &reason))
		rc = opts_usage(&opts, "could not use --snapshot \"%s\": %s",
		    snapshot, reason);
	else
		rc = create ? provision_create(&source)
			    : snapshot_request(&source, wish.tables);
	table_list_release(&list);
	return rc;
}

static int
run(const struct table_list *list)
{
	const struct pg_target target = {"source", reader.conninfo, false};
	const struct provision_options source = {
	    .conninfo = reader.conninfo,
	    .slot = reader.slot,
	    .publication = reader.publication,
	    .tables = list,
	    .key_file = drop || drop_slot ? NULL : reader.snapshot_key_file,
	    .heartbeat = reader.heartbeat > 0,
	};
	int rc = pg_connect_check(&target);

	if (rc != EXIT_DONE)
		return fail(rc);
	if (reader.server_timeout >= 0)
		pg_set_timeout(reader.server_timeout);
	if (snapshot != NULL)
		return create_or_ask(&source);
	if (create)
		return provision_create(&source);
	if (command >= 0)
		return snapshot_command(&source, SNAPSHOT_PAUSE + command);
	if (drop)
		return provision_drop(&source);
	if (drop_slot)
		return provision_drop_slot(&source);
	if (new_tables >= 0)
		return provision_new_tables(&source, new_tables > 0);
	if (check)
		return check_source(&source);
	if (start_line)
		return start_line_print(reader.conninfo, reader.source_id,
		    reader.slot, reader.publication);
	reader.tables = list;
	return reader_run(&reader);
}

static int
run_with_tables(void)
{
	struct table_list list;
	const char *reason;
	int rc;

	if (tables == NULL)
		return run(NULL);
	if (table_list_parse(&list, tables, &reason)) {
		rc = run(&list);
	} else {
		rc = fail(
		    refuse_name("tables", tables, "PHILOTES_TABLES", reason));
	}
	table_list_release(&list);
	return rc;
}

int
main(int argc, char **argv)
{
	int rest, rc;

	if (!opts_start(&opts, argc, argv, &rest, &rc))
		return fail(rc);
	if (rest < argc)
		return fail(opts_extra(&opts, argv[rest]));
	rc = check_mode();
	if (rc == EXIT_DONE)
		rc = check_names();
	if (rc == EXIT_DONE)
		rc = check_workers();
	if (rc != EXIT_DONE)
		return fail(rc);
	return run_with_tables();
}
