/* Stores a stream of events in the buffer: buffer-write(1). */
#include <stddef.h>

#include "base/exitcode.h"
#include "base/opts.h"
#include "pg/pg_connect.h"
#include "writer/buffer_check.h"
#include "writer/writer.h"

static struct writer_options writer = {
    .batch_size = 20000,
    .flush_interval = 1000,
    .max_line = UINT64_C(1) << 30,
};

static bool check;
static int64_t server_timeout = PATIENCE_MS;

static const struct opt table[] = {
    {'d', "buffer", "CONNINFO", OPT_TEXT, &writer.conninfo,
	"PHILOTES_BUFFER_URL", "the database to write to", 0, NULL},
    {0, "batch-size", "N", OPT_COUNT, &writer.batch_size, NULL,
	"commit after this many events (20000)", 1, NULL},
    {0, "flush-interval", "DURATION", OPT_DURATION, &writer.flush_interval,
	NULL, "commit after this time (1s)", 0, NULL},
    {0, "max-line", "BYTES", OPT_COUNT, &writer.max_line, NULL,
	"longest line accepted (1073741824)", 1, NULL},
    {0, "rejects", "FILE", OPT_TEXT, &writer.rejects, NULL,
	"append bad lines to FILE, and go on", 0, NULL},
    {0, "accept-gap", NULL, OPT_FLAG, &writer.accept_gap, NULL,
	"record a gap, and continue after it", 0, NULL},
    {0, "check", NULL, OPT_FLAG, &check, NULL,
	"report whether it can write, and exit", 0, NULL},
    {0, "server-timeout", "DURATION", OPT_DURATION, &server_timeout,
	"PHILOTES_SERVER_TIMEOUT", "give up on a server silent this long (60s)",
	0, NULL},
};

static const struct opts opts = {
    "buffer-write",
    "buffer-write [-qv] [-d CONNINFO] [OPTION ...]\n"
    "       buffer-write --check [-d CONNINFO] [OPTION ...]",
    "Writes the events on stdin to the buffer and acknowledges them on "
    "stdout.",
    table,
    sizeof(table) / sizeof(*table),
    (const int[]){64, 65, 69, 70, 71, 74, 75, 77, 78, 0},
};

/* Refuses flags that have no effect with --check. */
static int
check_mode(void)
{
	static const struct {
		const char *option;
		const void *dest;
	} no_effect[] = {
	    {"--batch-size", &writer.batch_size},
	    {"--flush-interval", &writer.flush_interval},
	    {"--max-line", &writer.max_line},
	    {"--rejects", &writer.rejects},
	    {"--accept-gap", &writer.accept_gap},
	};

	for (size_t i = 0; i < sizeof(no_effect) / sizeof(*no_effect); i++) {
		if (check && opts_given(&opts, no_effect[i].dest))
			return opts_usage(&opts,
			    "%s has no effect with --check",
			    no_effect[i].option);
	}
	return EXIT_DONE;
}

int
main(int argc, char **argv)
{
	struct pg_target target = {.what = "buffer"};
	int rest, rc;

	if (!opts_start(&opts, argc, argv, &rest, &rc))
		return rc;
	if (rest < argc)
		return opts_extra(&opts, argv[rest]);
	rc = check_mode();
	if (rc != EXIT_DONE)
		return rc;
	pg_set_timeout(server_timeout);
	target.conninfo = writer.conninfo;
	rc = pg_connect_check(&target);
	if (rc != EXIT_DONE)
		return rc;
	return check ? buffer_check(writer.conninfo) : writer_run(&writer);
}
