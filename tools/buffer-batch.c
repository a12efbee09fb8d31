/* Batches of events from the buffer: buffer-batch(1). */
#include <string.h>

#include "batcher.h"
#include "exitcode.h"
#include "json_write.h"
#include "log.h"
#include "opts.h"
#include "pg.h"
#include "stop.h"

static struct batcher_options batcher = {
    .consumer = "default",
    .batch_size = 1000,
    .max_bytes = UINT64_C(4) * 1024 * 1024,
    .flush_interval = 5000,
    .retries = 5,
};
static struct opt_list sources;
static int start_choice;
static const char *const starts[] = {"earliest", "latest", NULL};

static const struct opt table[] = {
    {'d', "buffer", "CONNINFO", OPT_TEXT, &batcher.conninfo,
	"PHILOTES_BUFFER_URL", "the database to read from", 0, NULL},
    {0, "source-id", "NAME", OPT_LIST, &sources, NULL,
	"this source; may be given again (all)", 0, NULL},
    {0, "consumer", "NAME", OPT_TEXT, &batcher.consumer, NULL,
	"whose cursor to use (default)", 0, NULL},
    {0, "start", "earliest|latest", OPT_CHOICE, &start_choice, NULL,
	"where a new consumer begins (earliest)", 0, starts},
    {0, "batch-size", "N", OPT_COUNT, &batcher.batch_size,
	"PHILOTES_BUFFER_BATCH_SIZE", "events in a batch (1000)", 1, NULL},
    {0, "max-bytes", "N", OPT_COUNT, &batcher.max_bytes, NULL,
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
};

static const struct opts opts = {
    "buffer-batch",
    "buffer-batch [-qv] [-d CONNINFO] [OPTION ...] [-- COMMAND [ARG ...]]",
    "Hands on the events of the buffer in batches, to stdout or to a command.",
    table,
    sizeof(table) / sizeof(*table),
};

int
main(int argc, char **argv)
{
	struct pg_target target = {.what = "buffer"};
	bool utf8 = true;
	int rest, rc;

	log_init(opts.tool);
	rc = stop_init();
	if (rc != EXIT_DONE)
		return rc;
	if (!opts_parse(&opts, argc, argv, &rest, &rc))
		return rc;
	if (rest < argc && strcmp(argv[rest - 1], "--") != 0)
		return opts_usage(&opts, "a command without -- before it");
	if (rest < argc)
		batcher.handler.argv = argv + rest;
	if (rest < argc && batcher.ack != NULL)
		return opts_usage(&opts, "--ack and a command together");
	for (size_t i = 0; i < sources.n; i++)
		utf8 = utf8 && utf8_valid(view_of(sources.item[i]));
	if (!utf8 || !utf8_valid(view_of(batcher.consumer)))
		return opts_usage(&opts, "a name that is not UTF-8");
	batcher.sources = sources.item;
	batcher.nsources = sources.n;
	batcher.latest = start_choice == 1;
	target.conninfo = batcher.conninfo;
	rc = pg_check_target(&target, "PHILOTES_BUFFER_URL");
	return rc == EXIT_DONE ? batcher_run(&batcher) : rc;
}
