/* buffer-batch(1): delivers the events of the buffer in batches. */
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
    .window = 4,
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
	"deliver this source; repeatable (all)", 0, NULL},
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
	"how long an incomplete batch waits (5s)", 0, NULL},
    {0, "once", NULL, OPT_FLAG, &batcher.once, NULL,
	"deliver the events that are there, and exit", 0, NULL},
    {0, "schema", NULL, OPT_FLAG, &batcher.schema, NULL,
	"schema lines in each batch, as with --ack", 0, NULL},
    {0, "ack", "FILE", OPT_TEXT, &batcher.ack, NULL,
	"read acks of checkpoints from this FIFO", 0, NULL},
    {0, "serve", NULL, OPT_FLAG, &batcher.handler.serve, NULL,
	"start the command once; it acknowledges on its stdout", 0, NULL},
    {0, "window", "N", OPT_COUNT, &batcher.window, "PHILOTES_WINDOW",
	"batches that may wait for acks (4)", 1, NULL},
    {0, "safe-numbers", NULL, OPT_FLAG, &batcher.safe_numbers, NULL,
	"numbers that floating point does not keep as strings", 0, NULL},
    {0, "retries", "N", OPT_COUNT, &batcher.retries, NULL,
	"retries of a batch that fails (5)", 0, NULL},
    {0, "timeout", "DURATION", OPT_DURATION, &batcher.handler.timeout_ms, NULL,
	"how long the command may take (no limit)", 0, NULL},
    {0, "on-failure", "stop|dead-letter", OPT_CHOICE, &failure_choice, NULL,
	"what to do after the last retry (stop)", 0, failures},
    {0, "max-dead-letters", "N", OPT_COUNT, &batcher.max_letters, NULL,
	"exit instead of parking more than this (100)", 1, NULL},
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
	"PHILOTES_SERVER_TIMEOUT", "give up on a silent server after (60s)", 0,
	NULL},
};

static const struct opts opts = {
    "buffer-batch",
    "buffer-batch [-qv] [-d CONNINFO] [OPTION ...] [-- COMMAND [ARG ...]]",
    "Delivers the events of the buffer in batches, to stdout or to a command.",
    table,
    sizeof(table) / sizeof(*table),
    (const int[]){64, 69, 70, 71, 74, 75, 76, 77, 78, 0},
};

/* Options that exclude each other. */
static int
check_pairs(bool command)
{
	const char *replay = from != NULL ? "--from"
	    : to != NULL                  ? "--to"
					  : NULL;
	bool start = opts_given(&opts, &start_choice);
	bool interval = opts_given(&opts, &batcher.flush_interval);
	const struct {
		bool both;
		const char *one;
		const char *other;
	} pairs[] = {
	    {command && batcher.ack != NULL, "--ack", "a command"},
	    {replay && peek, replay, "--peek"},
	    {replay && letters, replay, "--dead-letters"},
	    {replay && batcher.consumer != NULL, replay, "--consumer"},
	    {replay && start, replay, "--start"},
	    {replay && interval, replay, "--flush-interval"},
	    {replay && failure_choice == 1, replay, "--on-failure"},
	    {peek && letters, "--peek", "--dead-letters"},
	    {peek && command, "--peek", "a command"},
	    {peek && batcher.ack != NULL, "--peek", "--ack"},
	    {peek && interval, "--peek", "--flush-interval"},
	    {letters && start, "--dead-letters", "--start"},
	    {letters && interval, "--dead-letters", "--flush-interval"},
	    {letters && opts_given(&opts, &batcher.max_letters),
		"--dead-letters", "--max-dead-letters"},
	    {batcher.once && interval, "--once", "--flush-interval"},
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		if (pairs[i].both)
			return opts_usage(&opts, "%s and %s together",
			    pairs[i].one, pairs[i].other);
	}
	return EXIT_DONE;
}

/* Options that have no effect without another. */
static int
check_needs(bool command)
{
	const struct {
		const char *option;
		const void *dest;
		bool met;
		const char *needs;
	} needs[] = {
	    {"--retries", &batcher.retries, command, "a command"},
	    {"--timeout", &batcher.handler.timeout_ms, command, "a command"},
	    {"--on-failure", &failure_choice, command, "a command"},
	    {"--serve", &batcher.handler.serve, command, "a command"},
	    {"--window", &batcher.window,
		batcher.handler.serve || batcher.ack != NULL,
		"--ack or --serve"},
	    {"--max-dead-letters", &batcher.max_letters, failure_choice == 1,
		"--on-failure dead-letter"},
	    {"--tables", &tables, from != NULL || to != NULL, "--from or --to"},
	};

	for (size_t i = 0; i < sizeof(needs) / sizeof(*needs); i++) {
		if (!needs[i].met && opts_given(&opts, needs[i].dest))
			return opts_usage(&opts, "%s without %s",
			    needs[i].option, needs[i].needs);
	}
	return EXIT_DONE;
}

static int
read_bound(const char *name, const char *text, struct replay_bound *b)
{
	static int64_t now; /* the same for --from and --to */

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
		    &opts, "--from \"%s\" is later than --to \"%s\"", from, to);
	if (tables != NULL && !table_list_parse(&r->tables, tables, &reason))
		return opts_usage(&opts, "--tables \"%s\": %s", tables, reason);
	return EXIT_DONE;
}

static int
check_window(void)
{
	if (batcher.window <= ACK_WINDOW)
		return EXIT_DONE;
	if (opts_given(&opts, &batcher.window))
		return opts_usage(
		    &opts, "--window: at most %d batches", ACK_WINDOW);
	log_error(
	    "could not use PHILOTES_WINDOW: at most %d batches", ACK_WINDOW);
	return EXIT_CONFIG;
}

static int
check_names(void)
{
	bool utf8 = utf8_valid(view_of(batcher.consumer)) &&
	    (tables == NULL || utf8_valid(view_of(tables)));

	/* it is part of a primary key, as the name of a source is */
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
		log_hint("Write -- before a command.");
		return rc;
	}
	rc = check_pairs(rest < argc);
	if (rc == EXIT_DONE)
		rc = check_needs(rest < argc);
	if (rc == EXIT_DONE)
		rc = check_window();
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
