/* Batches of events from the buffer: buffer-batch(1). */
#include <string.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "base/opts.h"
#include "base/utf8.h"
#include "batcher/batcher.h"
#include "pg/pg_connect.h"

static struct batcher_options batcher = {
    .limits = {1000, UINT64_C(4) * 1024 * 1024},
    .flush_interval = 5000,
    .retries = 5,
    .max_letters = 100,
};
static struct opt_list sources;
static int start_choice, failure_choice;
static const char *const starts[] = {"earliest", "latest", NULL};
static const char *const failures[] = {"stop", "dead-letter", NULL};
static bool peek, letters;
static const char *from, *to, *tables;
static int64_t server_timeout = PATIENCE_MS;

static const struct opt table[] = {
    {'d', "buffer", "CONNINFO", OPT_TEXT, &batcher.conninfo,
	"PHILOTES_BUFFER_URL", "the database to read from", 0, NULL},
    {0, "source-id", "NAME", OPT_LIST, &sources, NULL,
	"this source; may be given again (all)", 0, NULL},
    {0, "consumer", "NAME", OPT_TEXT, &batcher.consumer, NULL,
	"whose cursor to use (default)", 0, NULL},
    {0, "start", "earliest|latest", OPT_CHOICE, &start_choice, NULL,
	"where a new consumer begins (earliest)", 0, starts},
    {0, "batch-size", "N", OPT_COUNT, &batcher.limits.events,
	"PHILOTES_BUFFER_BATCH_SIZE", "events in a batch (1000)", 1, NULL},
    {0, "max-bytes", "N", OPT_COUNT, &batcher.limits.bytes, NULL,
	"bytes in a batch (4194304)", 1, NULL},
    {0, "flush-interval", "DURATION", OPT_DURATION, &batcher.flush_interval,
	"PHILOTES_BUFFER_FLUSH_INTERVAL",
	"an incomplete batch waits so long (5s)", 0, NULL},
    {0, "once", NULL, OPT_FLAG, &batcher.once, NULL,
	"deliver what is there now, and exit", 0, NULL},
    {0, "ack", "FILE", OPT_TEXT, &batcher.ack, NULL,
	"read acknowledged checkpoints from here", 0, NULL},
    {0, "retries", "N", OPT_COUNT, &batcher.retries, NULL,
	"of a batch whose command fails (5)", 0, NULL},
    {0, "timeout", "DURATION", OPT_DURATION, &batcher.handler.timeout_ms, NULL,
	"for the command to process a batch (none)", 0, NULL},
    {0, "on-failure", "stop|dead-letter", OPT_CHOICE, &failure_choice, NULL,
	"after that many retries (stop)", 0, failures},
    {0, "max-dead-letters", "N", OPT_COUNT, &batcher.max_letters, NULL,
	"stop when so many are open (100)", 1, NULL},
    {0, "dead-letters", NULL, OPT_FLAG, &letters, NULL,
	"deliver the consumer's open dead letters", 0, NULL},
    {0, "peek", NULL, OPT_FLAG, &peek, NULL,
	"show the next batch, mark nothing", 0, NULL},
    {0, "from", "LSN|TIME|#ID", OPT_TEXT, &from, NULL,
	"replay from there, mark nothing", 0, NULL},
    {0, "to", "LSN|TIME|#ID", OPT_TEXT, &to, NULL,
	"replay up to there, mark nothing", 0, NULL},
    {0, "tables", "LIST", OPT_TEXT, &tables, NULL,
	"replay the events of these tables (all)", 0, NULL},
    {0, "server-timeout", "DURATION", OPT_DURATION, &server_timeout,
	"PHILOTES_SERVER_TIMEOUT",
	"a server that does not answer is dead (60s)", 0, NULL},
};

static const struct opts opts = {
    "buffer-batch",
    "buffer-batch [-qv] [-d CONNINFO] [OPTION ...] [-- COMMAND [ARG ...]]",
    "Hands on the events of the buffer in batches, to stdout or to a command.",
    table,
    sizeof(table) / sizeof(*table),
    (const int[]){64, 69, 70, 71, 74, 75, 76, 77, 78, 0},
};

/* Options that do not go together. */
static int
check_pairs(bool command)
{
	const char *replay = from != NULL ? "--from"
	    : to != NULL                  ? "--to"
					  : NULL;
	bool latest = start_choice == 1, bury = failure_choice == 1;
	const struct {
		bool both;
		const char *one;
		const char *other;
	} pairs[] = {
	    {command && batcher.ack != NULL, "--ack", "a command"},
	    {replay && peek, replay, "--peek"},
	    {replay && letters, replay, "--dead-letters"},
	    {replay && batcher.consumer != NULL, replay, "--consumer"},
	    {replay && latest, replay, "--start"},
	    {replay && bury, replay, "--on-failure"},
	    {peek && letters, "--peek", "--dead-letters"},
	    {peek && command, "--peek", "a command"},
	    {peek && batcher.ack != NULL, "--peek", "--ack"},
	    {letters && latest, "--dead-letters", "--start"},
	    {bury && !command, "--on-failure", "no command"},
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		if (pairs[i].both)
			return opts_usage(&opts, "%s and %s together",
			    pairs[i].one, pairs[i].other);
	}
	if (tables != NULL && replay == NULL)
		return opts_usage(&opts, "--tables without --from or --to");
	return EXIT_DONE;
}

static int
read_bound(const char *name, const char *text, struct replay_bound *b)
{
	/* the same moment for --from and --to */
	static int64_t now;

	now = now != 0 ? now : clock_pg();
	if (text == NULL || replay_bound_parse(text, now, b))
		return EXIT_DONE;
	return opts_usage(&opts,
	    "%s \"%s\": neither an LSN, a time nor an id: write it like "
	    "0/1A2B3C4, 2026-11-22, 2026-11-22T13:12+01:00, -1h30m, -7d, "
	    "\"2 hours ago\", yesterday, now or '#42'",
	    name, text);
}

static int
read_replay(void)
{
	struct replay *r = &batcher.replay;
	const char *reason;
	int rc = read_bound("--from", from, &r->from);

	if (rc == EXIT_DONE)
		rc = read_bound("--to", to, &r->to);
	if (rc != EXIT_DONE)
		return rc;
	if (!replay_in_order(r))
		return opts_usage(
		    &opts, "--from \"%s\" is behind --to \"%s\"", from, to);
	if (tables != NULL && !table_list_parse(&r->tables, tables, &reason))
		return opts_usage(&opts, "--tables \"%s\": %s", tables, reason);
	return EXIT_DONE;
}

static int
check_names(void)
{
	bool utf8 = utf8_valid(view_of(batcher.consumer)) &&
	    (tables == NULL || utf8_valid(view_of(tables)));

	/* primary keys of the buffer contain it, too */
	if (batcher.consumer != NULL &&
	    strlen(batcher.consumer) > SOURCE_ID_MAX)
		return opts_usage(&opts,
		    "--consumer: the name may have at most %d bytes",
		    SOURCE_ID_MAX);
	for (size_t i = 0; i < sources.n; i++)
		utf8 = utf8 && utf8_valid(view_of(sources.item[i]));
	return utf8 ? EXIT_DONE : opts_usage(&opts, "a name that is not UTF-8");
}

static int
set_up(int argc, char **argv, int rest)
{
	int rc;

	if (rest < argc && strcmp(argv[rest - 1], "--") != 0) {
		rc = opts_extra(&opts, argv[rest]);
		log_hint("A command goes behind --.");
		return rc;
	}
	rc = check_pairs(rest < argc);
	if (rc == EXIT_DONE)
		rc = read_replay();
	if (rest < argc)
		batcher.handler.argv = argv + rest;
	if (batcher.consumer == NULL)
		batcher.consumer = "default";
	batcher.sources = sources.item;
	batcher.nsources = sources.n;
	batcher.latest = start_choice == 1;
	batcher.dead_letters = failure_choice == 1;
	batcher.handler.keep_stderr = failure_choice == 1;
	if (from != NULL || to != NULL)
		batcher.mode = CURSOR_REPLAY;
	else if (peek)
		batcher.mode = CURSOR_PEEK;
	else if (letters)
		batcher.mode = CURSOR_LETTERS;
	return rc == EXIT_DONE ? check_names() : rc;
}

int
main(int argc, char **argv)
{
	struct pg_target target = {.what = "buffer"};
	int rest, rc;

	if (!opts_start(&opts, argc, argv, &rest, &rc))
		return rc;
	rc = set_up(argc, argv, rest);
	pg_set_timeout(server_timeout);
	target.conninfo = batcher.conninfo;
	if (rc == EXIT_DONE)
		rc = pg_connect_check(&target);
	if (rc == EXIT_DONE)
		rc = batcher_run(&batcher);
	table_list_release(&batcher.replay.tables);
	return rc;
}
