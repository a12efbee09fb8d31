#include "reader/start_line.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/exitcode.h"
#include "base/log.h"
#include "reader/preflight.h"
#include "reader/source.h"
#include "stream/event_write.h"

static int
print(const struct stream_start *start)
{
	struct buf line = BUF_INIT;
	int rc = EXIT_DONE;

	event_write_start(&line, start);
	if (line.failed) {
		log_error("could not print the start line: out of memory");
		rc = EXIT_OS;
	} else if (fwrite(line.data, 1, line.len, stdout) != line.len ||
	    fflush(stdout) != 0) {
		log_error("could not write \"stdout\": %s", strerror(errno));
		rc = EXIT_IO;
	}
	buf_release(&line);
	return rc;
}

int
start_line_print(const char *conninfo, const char *source_id, const char *slot,
    const char *publication)
{
	struct source_system system = {0};
	struct stream_start start;
	struct buf name = BUF_INIT;
	struct pg pg = {0};
	uint64_t lsn = 0;
	int rc = source_connect_walsender(&pg, conninfo);

	if (rc == EXIT_DONE)
		rc = source_identify(&pg, &system);
	if (rc == EXIT_DONE)
		rc = preflight_start(&pg, slot, publication, &lsn);
	if (rc == EXIT_DONE) {
		source_add_id(&name, &pg, source_id);
		start = source_start_line(&system, buf_view(&name), slot, lsn);
		rc = print(&start);
	}
	pg_close(&pg);
	source_system_release(&system);
	buf_release(&name);
	return rc;
}
