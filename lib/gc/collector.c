#include "gc/collector.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/num.h"
#include "base/signals.h"
#include "buffer/store.h"
#include "gc/gcreport.h"
#include "pg/pg.h"
#include "sql.h"

#define ROWS     5000 /* of a transaction that deletes */
#define STEP_MS  1000 /* a larger difference means that a clock was set */
#define PAUSE_MS 1000 /* after failing to lock the parent table */

struct leaf {
	int64_t n;
	int64_t first_id;
	int64_t end_id; /* the first id after it */
	bool may_go;    /* all its events may be removed */
};

/* The server's clock and ours at the first run. */
struct clocks {
	bool known;
	int64_t server;
	int64_t ours; /* monotonic */
};

struct collector {
	const struct collector_options *o;
	struct pg pg;
	int64_t cutoff; /* marks before it are too old, ms since 1970 */
	struct gc_result done;
	char started_at[64]; /* as the server writes it */
	int64_t below;       /* trim the ledgers below this id */
};

static const char lock_not_available[] = "55P03";

static int
unexpected(const char *doing)
{
	log_error("could not %s: unexpected answer", doing);
	return EXIT_BUG;
}

/* Runs a query with n numbers as parameters. */
static int
call(struct collector *g, const char *doing, const char *sql, int n,
    const int64_t *args, PGresult **res)
{
	char text[3][24];
	const char *params[3] = {text[0], text[1], text[2]};

	for (int i = 0; i < n; i++)
		snprintf(text[i], sizeof(text[i]), "%lld", (long long)args[i]);
	return pg_query(&g->pg, doing, sql, n, params, res);
}

/* The same for a query that returns one number; null leaves *v unchanged. */
static int
call_i64(struct collector *g, const char *doing, const char *sql, int n,
    const int64_t *args, int64_t *v)
{
	PGresult *res;
	int rc = call(g, doing, sql, n, args, &res);

	if (rc == EXIT_DONE && PQgetisnull(res, 0, 0) == 0 &&
	    !num_parse_i64(pg_value(res, 0, 0), v))
		rc = unexpected(doing);
	PQclear(res);
	return rc;
}

/* The same for a query with one parameter, or none if arg is NULL, that returns
 * true or false.  *busy: a lock was not available, which is no error. */
static int
call_bool(struct collector *g, const char *doing, const char *sql,
    const int64_t *arg, bool *yes, bool *busy)
{
	PGresult *res;
	int rc;

	g->pg.expected = lock_not_available;
	rc = call(g, doing, sql, arg != NULL, arg, &res);
	g->pg.expected = NULL;
	*yes = rc == EXIT_DONE && view_eq(pg_value(res, 0, 0), VIEW_LIT("t"));
	*busy = pg_is_state(res, lock_not_available);
	PQclear(res);
	return *busy ? EXIT_DONE : rc;
}

static void
leave(struct collector *g, const struct leaf *l)
{
	log_info("partition \"cdc_log_%lld\" is in use, left for the next run",
	    (long long)l->n);
	g->done.busy++;
	if (g->below > l->first_id)
		g->below = l->first_id;
}

/*
 * Locks the partition, checks it again, truncates it and commits; then drops
 * the empty partition.  So it never waits for one strong lock while it holds
 * another.  *go_on becomes false if the partition is in use: its users probably
 * use the next ones, too.
 */
static int
drop_partition(struct collector *g, const struct leaf *l, bool *go_on)
{
	bool empty, dropped = false, busy;
	int rc = call_bool(
	    g, "empty a partition", SQL_GC_TRUNCATE, &l->n, &empty, &busy);

	if (rc == EXIT_DONE && busy) {
		leave(g, l);
		*go_on = false;
	}
	if (rc != EXIT_DONE || !empty)
		return rc;
	rc = call_bool(
	    g, "drop a partition", SQL_GC_DROP, &l->n, &dropped, &busy);
	g->done.partitions += dropped;
	if (rc == EXIT_DONE && busy) {
		leave(g, l);
		fdio_pause(PAUSE_MS);
	}
	return rc;
}

static int
delete_events(struct collector *g, const struct leaf *l)
{
	int64_t args[] = {l->n, l->first_id, ROWS};
	int rc = EXIT_DONE;

	while (rc == EXIT_DONE && !signals_stop_requested()) {
		int64_t last = -1;

		rc = call_i64(
		    g, "delete events", SQL_GC_DELETE, 3, args, &last);
		if (last < 0)
			break;
		args[1] = last + 1;
	}
	return rc;
}

static bool
get_leaf(const PGresult *res, int row, struct leaf *l)
{
	l->may_go = view_eq(pg_value(res, row, 3), VIEW_LIT("t"));
	return num_parse_i64(pg_value(res, row, 0), &l->n) &&
	    num_parse_i64(pg_value(res, row, 1), &l->first_id) &&
	    num_parse_i64(pg_value(res, row, 2), &l->end_id);
}

/* Oldest first, up to the first partition that stays, which is trimmed. */
static int
collect_leaves(struct collector *g, const PGresult *leaves)
{
	struct leaf l = {.may_go = true};
	bool go_on = true;
	int rc = EXIT_DONE;

	for (int row = 0; rc == EXIT_DONE && row < PQntuples(leaves) && go_on &&
	     l.may_go && !signals_stop_requested();
	     row++) {
		if (!get_leaf(leaves, row, &l))
			return unexpected("list the partitions");
		if (g->done.dry_run) {
			g->done.partitions += l.may_go;
		} else if (l.may_go) {
			rc = drop_partition(g, &l, &go_on);
		} else {
			rc = delete_events(g, &l);
			if (g->below > l.end_id)
				g->below = l.end_id;
		}
	}
	return rc;
}

static int
list_leaves(struct collector *g, PGresult **leaves)
{
	return pg_query(
	    &g->pg, "list the partitions", SQL_GC_LEAVES, 0, NULL, leaves);
}

/* Removes the ledger rows of removed events. */
static int
trim_ledgers(struct collector *g)
{
	const int64_t args[] = {g->below, ROWS};
	int64_t n = ROWS;
	int rc = EXIT_DONE;

	while (rc == EXIT_DONE && n >= ROWS && !signals_stop_requested())
		rc = call_i64(g, "trim the ledgers", SQL_GC_TRIM, 2, args, &n);
	return rc;
}

/* Only the owner may VACUUM; others leave it to autovacuum. */
static int
vacuum_ledgers(struct collector *g)
{
	bool ours, busy;
	int rc = call_bool(
	    g, "vacuum the ledgers", SQL_GC_OWNER, NULL, &ours, &busy);

	if (rc == EXIT_DONE && ours && !signals_stop_requested())
		rc = pg_query(
		    &g->pg, "vacuum the ledgers", SQL_GC_VACUUM, 0, NULL, NULL);
	return rc;
}

static int
ensure_partitions(struct collector *g)
{
	return pg_query(&g->pg, "create partitions of philotes.cdc_log",
	    SQL_ENSURE_PARTITIONS, 0, NULL, NULL);
}

/* Creates the partitions ahead at once: a COPY that begins after the switch
 * does not see partitions created later. */
static int
advance(struct collector *g)
{
	bool moved, busy;
	int rc = call_bool(g, "switch to the next partition", SQL_GC_ADVANCE,
	    &g->cutoff, &moved, &busy);

	if (rc == EXIT_DONE && busy)
		log_info("the id sequence is locked, switching partitions on "
			 "the next run");
	if (rc == EXIT_DONE && moved)
		rc = ensure_partitions(g);
	return rc;
}

static int
begin(struct collector *g)
{
	static const char doing[] = "choose the events to remove";
	PGresult *res;
	int rc = call(g, doing, SQL_GC_BEGIN, 1, &g->cutoff, &res);

	if (rc == EXIT_DONE) {
		snprintf(g->started_at, sizeof(g->started_at), "%s",
		    PQgetvalue(res, 0, 0));
		if (!num_parse_u64(pg_value(res, 0, 1), &g->done.events))
			rc = unexpected(doing);
	}
	PQclear(res);
	return rc;
}

static int
record(struct collector *g)
{
	char retention[24], events[24], partitions[24], busy[24];
	const char *params[] = {
	    retention, g->started_at, events, partitions, busy};

	snprintf(
	    retention, sizeof(retention), "%lld", (long long)g->o->retention);
	snprintf(
	    events, sizeof(events), "%llu", (unsigned long long)g->done.events);
	snprintf(partitions, sizeof(partitions), "%llu",
	    (unsigned long long)g->done.partitions);
	snprintf(busy, sizeof(busy), "%llu", (unsigned long long)g->done.busy);
	return pg_query(&g->pg, "record the run", SQL_GC_END, 5, params, NULL);
}

/* Chooses the events to remove, and removes them. */
static int
remove_events(struct collector *g)
{
	PGresult *leaves = NULL;
	int rc = begin(g);

	if (rc == EXIT_DONE)
		rc = list_leaves(g, &leaves);
	if (rc == EXIT_DONE)
		rc = collect_leaves(g, leaves);
	PQclear(leaves);
	return rc;
}

static int
list_held(struct collector *g, PGresult **held)
{
	return call(
	    g, "list the events that stay", SQL_GC_HELD, 1, &g->cutoff, held);
}

/* The choice is committed before anything is removed. */
static int
collect(struct collector *g, PGresult **held)
{
	int rc = ensure_partitions(g);

	if (rc == EXIT_DONE)
		rc = remove_events(g);
	if (rc == EXIT_DONE)
		rc = trim_ledgers(g);
	if (rc == EXIT_DONE && !signals_stop_requested())
		rc = advance(g);
	if (rc == EXIT_DONE && !signals_stop_requested())
		rc = record(g);
	if (rc == EXIT_DONE && !signals_stop_requested())
		rc = vacuum_ledgers(g);
	return rc == EXIT_DONE ? list_held(g, held) : rc;
}

/* For --dry-run: makes the same choice, and rolls it back. */
static int
rehearse(struct collector *g, PGresult **held)
{
	static const char doing[] = "preview the removal";
	int rc = pg_query(&g->pg, doing, "BEGIN", 0, NULL, NULL);

	if (rc == EXIT_DONE)
		rc = remove_events(g);
	if (rc == EXIT_DONE)
		rc = list_held(g, held);
	if (rc == EXIT_DONE)
		rc = pg_query(&g->pg, doing, "ROLLBACK", 0, NULL, NULL);
	return rc;
}

static int
lock_out_others(struct collector *g)
{
	bool ours, busy;
	int rc = call_bool(g, "lock the buffer for buffer-gc", SQL_GC_LOCK,
	    NULL, &ours, &busy);

	if (rc == EXIT_DONE && !ours) {
		log_error("could not lock the buffer for buffer-gc: another "
			  "one is running");
		rc = EXIT_RETRY;
	}
	return rc;
}

/*
 * Marks carry the server's time.  If its clock was set ahead since the first
 * run, marks from before look older than they are.  So the retention grows by
 * the same time for the rest of the process, which keeps events of newer marks
 * longer than needed.  The clock is read once in a run, since it may be set in
 * between.
 */
static int
set_cutoff(struct collector *g, struct clocks *c)
{
	static const char doing[] = "read the server's clock";
	int64_t server = 0, ours, ahead;
	int rc = call_i64(g, doing, SQL_CLOCK, 0, NULL, &server);

	if (rc != EXIT_DONE)
		return rc;
	ours = clock_ms();
	if (!c->known)
		*c = (struct clocks){true, server, ours};
	ours -= c->ours;
	ahead = server - c->server - ours;
	g->cutoff = server - g->o->retention;
	/* clocks drift apart by less than one in a thousand */
	if (ahead < STEP_MS + ours / 1000)
		return EXIT_DONE;
	g->cutoff -= ahead;
	log_info("the server's clock was set ahead by %lld s: keeping events "
		 "that much longer",
	    (long long)(ahead / 1000));
	return EXIT_DONE;
}

/* Each run has a connection of its own: between runs none is open. */
static int
run_once(const struct collector_options *o, struct clocks *c)
{
	struct collector g = {
	    .o = o, .done.dry_run = o->dry_run, .below = INT64_MAX};
	PGresult *held = NULL;
	int rc = store_open(&g.pg, o->conninfo);

	g.pg.slow = true;
	if (rc == EXIT_DONE)
		rc = set_cutoff(&g, c);
	if (rc == EXIT_DONE && !o->dry_run)
		rc = lock_out_others(&g);
	if (rc == EXIT_DONE)
		rc = o->dry_run ? rehearse(&g, &held) : collect(&g, &held);
	pg_close(&g.pg);
	if (rc == EXIT_DONE)
		rc = gcreport_print(&g.done, held);
	PQclear(held);
	return rc;
}

int
collector_run(const struct collector_options *o)
{
	struct clocks clocks = {0};
	int rc = run_once(o, &clocks);

	while (
	    rc == EXIT_DONE && o->interval > 0 && !signals_stop_requested()) {
		fdio_pause(o->interval);
		if (!signals_stop_requested())
			rc = run_once(o, &clocks);
	}
	return rc;
}
