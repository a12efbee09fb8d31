/*
 * The report of a run of buffer-gc on stdout: one line, and after a dry run one
 * more for each source that keeps events, with the reasons; or, with the log in
 * JSON, one object:
 *
 *   {"dry_run":false,"events":8041,"partitions":1,"busy":0,"held":[
 *    {"source_id":"shop","consumer":"default","waiting":12,
 *     "since":"2026-11-22T13:12:35Z","young":900,"later":0,"dead":false}]}
 *
 * A warning names each consumer that has held events longer than the retention.
 */
#ifndef GCREPORT_H
#define GCREPORT_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

struct gc_result {
	bool dry_run;
	uint64_t events;     /* removed */
	uint64_t partitions; /* dropped */
	uint64_t busy;       /* partitions left because they were in use */
};

/* held: the rows of gc_held.sql.  Returns an exit code. */
int gcreport_print(const struct gc_result *r, const PGresult *held);

#endif
