/* Removes processed events from the buffer: buffer-gc(1). */
#include <stddef.h>

#include "base/exitcode.h"
#include "base/opts.h"
#include "gc/collector.h"
#include "pg/pg_connect.h"

static struct collector_options collector = {
    .retention = INT64_C(168) * 3600 * 1000,
};

static int64_t server_timeout = PATIENCE_MS;

static const struct opt table[] = {
    {'d', "buffer", "CONNINFO", OPT_TEXT, &collector.conninfo,
	"PHILOTES_BUFFER_URL", "the database to clean", 0, NULL},
    {0, "retention", "DURATION", OPT_DURATION, &collector.retention,
	"PHILOTES_BUFFER_RETENTION",
	"keep processed events for this long (168h)", 0, NULL},
    {0, "interval", "DURATION", OPT_DURATION, &collector.interval, NULL,
	"run again after this time (one run)", 0, NULL},
    {0, "dry-run", NULL, OPT_FLAG, &collector.dry_run, NULL,
	"remove nothing, print what would be removed", 0, NULL},
    {0, "server-timeout", "DURATION", OPT_DURATION, &server_timeout,
	"PHILOTES_SERVER_TIMEOUT", "give up on a server silent this long (60s)",
	0, NULL},
};

static const struct opts opts = {
    "buffer-gc",
    "buffer-gc [-qv] [-d CONNINFO] [--dry-run] [OPTION ...]",
    "Removes events that all consumers have processed, after a retention.",
    table,
    sizeof(table) / sizeof(*table),
    (const int[]){64, 70, 71, 74, 75, 77, 78, 0},
};

int
main(int argc, char **argv)
{
	struct pg_target target = {.what = "buffer"};
	int rest, rc;

	if (!opts_start(&opts, argc, argv, &rest, &rc))
		return rc;
	if (rest < argc)
		return opts_extra(&opts, argv[rest]);
	pg_set_timeout(server_timeout);
	target.conninfo = collector.conninfo;
	rc = pg_connect_check(&target);
	return rc == EXIT_DONE ? collector_run(&collector) : rc;
}
