#include "reader/start_line.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/exitcode.h"
#include "base/log.h"
#include "reader/preflight.h"
#include "reader/walsender.h"
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
	struct stream_start start = {.slot = view_of(slot)};
	struct walsender_system system = {0};
	struct walsender stream = {0};
	struct buf name = BUF_INIT;
	int rc = walsender_open(&stream, conninfo);

	if (rc == EXIT_DONE)
		rc = walsender_identify(&stream, &system);
	if (rc == EXIT_DONE)
		rc = preflight_start(&stream.pg, slot, publication, &start.lsn);
	if (rc == EXIT_DONE) {
		if (source_id != NULL)
			buf_adds(&name, source_id);
		else
			buf_addf(&name, "postgres-%s", PQdb(stream.pg.conn));
		start.source_id = buf_view(&name);
		start.system_id = buf_view(&system.system_id);
		start.timeline = system.timeline;
		start.history = buf_view(&system.history);
		start.flush = system.flush;
		rc = print(&start);
	}
	walsender_close(&stream);
	walsender_system_release(&system);
	buf_release(&name);
	return rc;
}
