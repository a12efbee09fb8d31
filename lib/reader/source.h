/*
 * The source database before its stream starts: sessions on it, its identity,
 * and the published tables that --tables leaves out.  Functions return an exit
 * code and log errors, as those of pg.h do.
 */
#ifndef SOURCE_H
#define SOURCE_H

#include "pg/pg.h"
#include "stream/event.h"
#include "stream/tablelist.h"

/*
 * Connects (conninfo NULL: libpq's own settings) and pins the session's
 * settings.  A walsender connection takes replication commands, and simple
 * queries without parameters.  *pg is closed by pg_close, whatever the result.
 */
int source_connect(struct pg *pg, const char *conninfo);
int source_connect_walsender(struct pg *pg, const char *conninfo);

/* Does the source reject new sessions because it starts or shuts down?  Asks
 * it, for at most two seconds. */
bool source_turned_away(const char *conninfo);

/* Zero-initialise. */
struct source_system {
	struct buf system_id;
	uint32_t timeline;
	uint64_t flush;     /* end of the WAL on the source's disk */
	struct buf history; /* timeline switches, as struct stream_start's */
	int64_t timeout_ms; /* wal_sender_timeout; 0: none */
};

/* Identifies the source; pg is a walsender connection. */
int source_identify(struct pg *pg, struct source_system *sys);
void source_system_release(struct source_system *sys);

/* Appends the source's name in events: source_id, or postgres-DATABASE if that
 * is NULL. */
void source_add_id(struct buf *b, const struct pg *pg, const char *source_id);

/* The start line of a stream from a slot that is confirmed up to lsn; its views
 * point into the arguments. */
struct stream_start source_start_line(const struct source_system *sys,
    struct view source_id, const char *slot, uint64_t lsn);

/*
 * The published tables to leave out, by schema and name: those that are neither
 * in the list nor descend from a table in it.  A partition created later is not
 * among them.  EXIT_CONFIG if a table of the list is not published.  *res is
 * the caller's to PQclear.
 */
int source_left_out(struct pg *pg, const char *publication,
    const struct table_list *tables, PGresult **res);

#endif
