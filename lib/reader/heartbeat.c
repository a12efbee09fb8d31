#include "reader/heartbeat.h"

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "reader/source.h"
#include "sql.h"

static const char doing[] = "send a heartbeat to the source";
/* the server shuts down, or somebody terminated our session */
static const char ended[] = "57P01";

int
heartbeat_open(
    struct heartbeat *h, const char *conninfo, int64_t every, int64_t limit)
{
	int rc;

	if (every == 0)
		return EXIT_DONE;
	h->conninfo = conninfo;
	rc = source_connect(&h->pg, conninfo);
	/* fail early: no permission, or a standby */
	if (rc == EXIT_DONE)
		rc = pg_query(&h->pg, doing, SQL_HEARTBEAT, 0, NULL, NULL);
	h->pg.expected = ended;
	h->every = every;
	h->limit = limit;
	h->at = clock_ms() + every;
	return rc;
}

int
heartbeat_fd(const struct heartbeat *h)
{
	return h->every > 0 ? PQsocket(h->pg.conn) : -1;
}

int64_t
heartbeat_due_at(const struct heartbeat *h)
{
	if (h->every == 0)
		return INT64_MAX;
	if (h->sent > 0 && h->limit > 0 && h->sent + h->limit < h->at)
		return h->sent + h->limit;
	return h->at;
}

/*
 * A server that shuts down ends its sessions first and then waits until the
 * walsender's client has confirmed everything: the stream continues without
 * heartbeats.
 */
static int
lost(struct heartbeat *h)
{
	if (source_turned_away(h->conninfo)) {
		log_info("no more heartbeats: the source is shutting down");
		heartbeat_close(h);
		return EXIT_DONE;
	}
	h->pg.expected = NULL;
	return pg_failed(&h->pg, doing, h->answer);
}

/* Skips a heartbeat while the last one is unanswered. */
static int
send(struct heartbeat *h, int64_t now)
{
	h->at = now + h->every;
	if (h->sent > 0)
		return EXIT_DONE;
	h->sent = now;
	return PQsendQuery(h->pg.conn, SQL_HEARTBEAT) == 0 ? lost(h)
							   : EXIT_DONE;
}

static int
receive(struct heartbeat *h)
{
	bool done;
	int rc;

	if (PQconsumeInput(h->pg.conn) == 0)
		return lost(h);
	if (h->sent == 0)
		return EXIT_DONE;
	rc = pg_collect(&h->pg, doing, &h->answer, &done);
	if (pg_is_state(h->answer, "42501"))
		log_hint("The role needs EXECUTE on the function "
			 "pg_logical_emit_message.");
	if (pg_is_state(h->answer, ended))
		return lost(h);
	if (done) {
		PQclear(h->answer);
		h->answer = NULL;
		h->sent = 0;
	}
	return rc;
}

int
heartbeat_work(struct heartbeat *h)
{
	int64_t now = clock_ms();
	int rc = receive(h);

	if (rc != EXIT_DONE || now < heartbeat_due_at(h))
		return rc;
	if (h->sent == 0 || now < h->sent + h->limit || h->limit == 0)
		return send(h, now);
	log_error("could not %s: the server does not answer", doing);
	return EXIT_RETRY;
}

void
heartbeat_close(struct heartbeat *h)
{
	PQclear(h->answer);
	h->answer = NULL;
	pg_close(&h->pg);
	h->every = 0;
}

bool
heartbeat_is(struct view after_data)
{
	struct view head = VIEW_LIT("{\"prefix\":\"philotes.heartbeat\",");

	return after_data.n >= head.n &&
	    memcmp(after_data.p, head.p, head.n) == 0;
}
