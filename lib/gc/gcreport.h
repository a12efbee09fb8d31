/*
 * What a run of buffer-gc says on stdout: a line for people, and when nothing
 * was to be removed in earnest, a line more for each source of which something
 * stays, saying why; or, with the log in JSON, one object in all:
 *
 *   {"dry_run":false,"events":8041,"partitions":1,"busy":0,"held":[
 *    {"source_id":"shop","consumer":"default","waiting":12,
 *     "since":"2026-11-22T13:12:35Z","young":900,"later":0,"dead":false}]}
 *
 * Consumers that hold events longer than the retention are warned of.
 */
#ifndef GCREPORT_H
#define GCREPORT_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

struct gc_result {
	bool dry_run;
	uint64_t events;     /* let go */
	uint64_t partitions; /* dropped */
	uint64_t busy;       /* partitions that were in use */
};

/* held: the rows of gc_held.sql.  Returns an exit code. */
int gcreport_print(const struct gc_result *r, const PGresult *held);

#endif
