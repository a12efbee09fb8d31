/* Lines from stdin into the buffer: buffer-write(1). */
#include <stddef.h>

#include "base/exitcode.h"
#include "base/opts.h"
#include "pg/pg_connect.h"
#include "writer/writer.h"

static struct writer_options writer = {
    .batch_size = 20000,
    .flush_interval = 1000,
    .max_line = UINT64_C(1) << 30,
};

static int64_t server_timeout = PATIENCE_MS;

static const struct opt table[] = {
    {'d', "buffer", "CONNINFO", OPT_TEXT, &writer.conninfo,
	"PHILOTES_BUFFER_URL", "the database to write to", 0, NULL},
    {0, "batch-size", "N", OPT_COUNT, &writer.batch_size, NULL,
	"commit after this many rows (20000)", 1, NULL},
    {0, "flush-interval", "DURATION", OPT_DURATION, &writer.flush_interval,
	NULL, "commit after this time (1s)", 0, NULL},
    {0, "max-line", "BYTES", OPT_COUNT, &writer.max_line, NULL,
	"longest line accepted (1073741824)", 1, NULL},
    {0, "rejects", "FILE", OPT_TEXT, &writer.rejects, NULL,
	"append lines that cannot be accepted, and go on", 0, NULL},
    {0, "accept-gap", NULL, OPT_FLAG, &writer.accept_gap, NULL,
	"go on although changes are missing", 0, NULL},
    {0, "server-timeout", "DURATION", OPT_DURATION, &server_timeout,
	"PHILOTES_SERVER_TIMEOUT",
	"a server that does not answer is dead (60s)", 0, NULL},
};

static const struct opts opts = {
    "buffer-write",
    "buffer-write [-qv] [-d CONNINFO] [OPTION ...]",
    "Writes the events on stdin to the buffer and acknowledges them on "
    "stdout.",
    table,
    sizeof(table) / sizeof(*table),
    (const int[]){64, 65, 69, 70, 71, 74, 75, 77, 78, 0},
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
	target.conninfo = writer.conninfo;
	rc = pg_connect_check(&target);
	return rc == EXIT_DONE ? writer_run(&writer) : rc;
}
