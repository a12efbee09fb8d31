#include "collector.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "exitcode.h"
#include "fdio.h"
#include "log.h"
#include "num.h"
#include "pg.h"
#include "sql.h"
#include "stop.h"
#include "store.h"

struct leaf {
	struct view name;
	int64_t first_id;
	int64_t end_id; /* the first id beyond */
	bool may_go;
};

struct collector {
	const struct collector_options *o;
	struct pg pg;
	char retention[24]; /* ms, as a parameter */
	uint64_t events;    /* deleted, or counted by a dry run */
	uint64_t partitions;
};

static const char lock_not_available[] = "55P03";

static bool
get_leaf(const PGresult *res, int row, struct leaf *l)
{
	l->name = pg_value(res, row, 0);
	l->may_go = view_eq(pg_value(res, row, 3), VIEW_LIT("t"));
	return num_parse_i64(pg_value(res, row, 1), &l->first_id) &&
	    num_parse_i64(pg_value(res, row, 2), &l->end_id);
}

static int
unexpected(const char *doing)
{
	log_error("could not %s: unexpected answer", doing);
	return EXIT_BUG;
}

/* Runs one of the queries over the ids from `from` to below `to`. */
static int
query_ids(struct collector *g, const char *doing, const char *sql, int64_t from,
    int64_t to, PGresult **res)
{
	char low[24], high[24];
	const char *params[] = {g->retention, low, high};

	snprintf(low, sizeof(low), "%lld", (long long)from);
	snprintf(high, sizeof(high), "%lld", (long long)to);
	return pg_query(&g->pg, doing, sql, 3, params, res);
}

static int
count_events(struct collector *g, const struct leaf *l)
{
	static const char doing[] = "count events";
	PGresult *res;
	uint64_t n;
	int rc = query_ids(
	    g, doing, SQL_GC_COUNT, l->first_id, l->end_id, &res);

	if (rc == EXIT_DONE && !num_parse_u64(pg_value(res, 0, 0), &n))
		rc = unexpected(doing);
	else if (rc == EXIT_DONE)
		g->events += n;
	PQclear(res);
	return rc;
}

static int
delete_events(struct collector *g, const struct leaf *l)
{
	static const char doing[] = "delete events";
	int64_t from = l->first_id;
	uint64_t n = 1;
	PGresult *res;
	int rc = EXIT_DONE;

	while (rc == EXIT_DONE && n > 0 && !stop_requested()) {
		rc = query_ids(g, doing, SQL_GC_DELETE, from, l->end_id, &res);
		if (rc == EXIT_DONE && !num_parse_u64(pg_value(res, 0, 0), &n))
			rc = unexpected(doing);
		if (rc == EXIT_DONE && n > 0) {
			g->events += n;
			if (!num_parse_i64(pg_value(res, 0, 1), &from))
				rc = unexpected(doing);
			from++;
		}
		PQclear(res);
	}
	return rc;
}

/* Does the partition still hold only what may go, now that it is locked? */
static int
look_again(struct collector *g, const struct leaf *l, bool *may_go)
{
	const char *params[] = {g->retention};
	struct leaf now;
	PGresult *res;
	int rc = pg_query(
	    &g->pg, "list the partitions", SQL_GC_LEAVES, 1, params, &res);

	*may_go = false;
	for (int row = 0; rc == EXIT_DONE && row < PQntuples(res); row++) {
		if (!get_leaf(res, row, &now))
			rc = unexpected("list the partitions");
		else if (view_eq(now.name, l->name))
			*may_go = now.may_go;
	}
	PQclear(res);
	return rc;
}

static int
run_on_leaf(struct collector *g, const char *before, const struct leaf *l,
    const char *after, PGresult **res)
{
	struct buf sql = BUF_INIT;
	int rc;

	buf_adds(&sql, before);
	pg_add_identifier(&g->pg, &sql, l->name);
	buf_adds(&sql, after);
	if (buf_str(&sql) == NULL) {
		log_error("could not drop a partition: out of memory");
		*res = NULL;
		rc = EXIT_OS;
	} else {
		rc = pg_query(
		    &g->pg, "drop a partition", sql.data, 0, NULL, res);
	}
	buf_release(&sql);
	return rc;
}

/* A lock that is not to be had at once is left for the next run: whoever would
 * wait behind us matters more. */
static int
not_now(struct collector *g, int rc, const PGresult *res, const struct leaf *l)
{
	if (!pg_is_state(res, lock_not_available))
		return rc;
	log_warning("partition \"%.*s\" is in use, its turn comes later",
	    VIEW_FMT(l->name));
	return pg_query(&g->pg, "end a transaction", "ROLLBACK", 0, NULL, NULL);
}

/*
 * Lock, look again, TRUNCATE and commit, then DROP the empty partition: at no
 * moment is more than one strong lock held, none for longer than it takes.
 */
static int
drop_partition(struct collector *g, const struct leaf *l)
{
	PGresult *res = NULL;
	bool may_go = false;
	int rc;

	g->pg.expected = lock_not_available; /* see not_now */
	rc = run_on_leaf(g,
	    "BEGIN; SET LOCAL lock_timeout = '200ms'; LOCK TABLE philotes.", l,
	    " IN ACCESS EXCLUSIVE MODE", &res);

	if (rc != EXIT_DONE) {
		rc = not_now(g, rc, res, l);
		PQclear(res);
		return rc;
	}
	PQclear(res);
	rc = look_again(g, l, &may_go);
	if (rc == EXIT_DONE && !may_go)
		return pg_query(
		    &g->pg, "end a transaction", "ROLLBACK", 0, NULL, NULL);
	if (rc == EXIT_DONE) {
		rc = run_on_leaf(g, "TRUNCATE philotes.", l, "; COMMIT", &res);
		PQclear(res);
	}
	if (rc != EXIT_DONE)
		return rc;
	rc = run_on_leaf(g,
	    "BEGIN; SET LOCAL lock_timeout = '200ms'; DROP TABLE philotes.", l,
	    "; COMMIT", &res);
	if (rc == EXIT_DONE)
		g->partitions++;
	else
		rc = not_now(g, rc, res, l);
	PQclear(res);
	return rc;
}

/* Runs one of the statements about ids below this one. */
static int
run_below(
    struct collector *g, const char *doing, const char *sql, int64_t below)
{
	char id[24];
	const char *params[] = {g->retention, id};

	snprintf(id, sizeof(id), "%lld", (long long)below);
	return pg_query(&g->pg, doing, sql, 2, params, NULL);
}

/* The ledgers go with what they describe. */
static int
trim_ledgers(struct collector *g, int64_t below)
{
	int rc = run_below(g, "trim philotes.cdc_writes", SQL_GC_WRITES, below);

	if (rc == EXIT_DONE)
		rc = run_below(
		    g, "trim philotes.cdc_batches", SQL_GC_BATCHES, below);
	return rc;
}

static int
collect_leaf(struct collector *g, const struct leaf *l)
{
	int rc;

	if (g->o->dry_run) {
		g->partitions += l->may_go;
		return l->may_go ? EXIT_DONE : count_events(g, l);
	}
	rc = run_below(g, "announce the removal", SQL_GC_REMOVED, l->end_id);
	if (rc == EXIT_DONE)
		rc = l->may_go ? drop_partition(g, l) : delete_events(g, l);
	return rc;
}

/* Oldest first; the first partition that stays is trimmed, and that is all. */
static int
collect_leaves(struct collector *g, const PGresult *leaves)
{
	struct leaf l = {.may_go = true};
	int rc = EXIT_DONE;

	for (int row = 0; rc == EXIT_DONE && row < PQntuples(leaves) &&
	     l.may_go && !stop_requested();
	     row++) {
		if (!get_leaf(leaves, row, &l))
			return unexpected("list the partitions");
		rc = collect_leaf(g, &l);
	}
	if (rc != EXIT_DONE || g->o->dry_run || stop_requested())
		return rc;
	return trim_ledgers(g, l.end_id);
}

static int
report(const struct collector *g)
{
	printf("%s %llu events, %s %llu partitions\n",
	    g->o->dry_run ? "would delete" : "deleted",
	    (unsigned long long)g->events,
	    g->o->dry_run ? "would drop" : "dropped",
	    (unsigned long long)g->partitions);
	if (fflush(stdout) == 0)
		return EXIT_DONE;
	log_error("could not write \"stdout\": %s", strerror(errno));
	return EXIT_IO;
}

static int
collect(struct collector *g)
{
	const char *params[] = {g->retention};
	PGresult *leaves;
	int rc = pg_query(
	    &g->pg, "list the partitions", SQL_GC_LEAVES, 1, params, &leaves);

	g->events = g->partitions = 0;
	if (rc == EXIT_DONE)
		rc = collect_leaves(g, leaves);
	PQclear(leaves);
	return rc == EXIT_DONE ? report(g) : rc;
}

static int
lock_out_others(struct collector *g)
{
	PGresult *res;
	int rc = pg_query(&g->pg, "lock the buffer for buffer-gc", SQL_GC_LOCK,
	    0, NULL, &res);

	if (rc == EXIT_DONE && !view_eq(pg_value(res, 0, 0), VIEW_LIT("t"))) {
		log_error("could not lock the buffer for buffer-gc: another "
			  "one runs");
		rc = EXIT_RETRY;
	}
	PQclear(res);
	return rc;
}

int
collector_run(const struct collector_options *o)
{
	struct collector g = {.o = o};
	int rc = store_open(&g.pg, o->conninfo);

	snprintf(
	    g.retention, sizeof(g.retention), "%lld", (long long)o->retention);
	if (rc == EXIT_DONE)
		rc = lock_out_others(&g);
	while (rc == EXIT_DONE && !stop_requested()) {
		rc = collect(&g);
		if (o->interval == 0)
			break;
		if (rc == EXIT_DONE)
			fdio_pause(o->interval);
	}
	pg_close(&g.pg);
	return rc;
}
