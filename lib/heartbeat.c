#include "heartbeat.h"

#include "clock.h"
#include "exitcode.h"
#include "log.h"
#include "sql.h"

static const char doing[] = "send a heartbeat to the source";

int
heartbeat_open(
    struct heartbeat *h, const char *conninfo, int64_t every, int64_t limit)
{
	const struct pg_target target = {"source", conninfo, false};
	int rc;

	if (every == 0)
		return EXIT_DONE;
	rc = pg_open(&h->pg, &target);
	if (rc == EXIT_DONE)
		rc = pg_query(&h->pg, "set up the session on the source",
		    SQL_SESSION_SOURCE, 0, NULL, NULL);
	/* a role that may not, a standby: known at once */
	if (rc == EXIT_DONE)
		rc = pg_query(&h->pg, doing, SQL_HEARTBEAT, 0, NULL, NULL);
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

/* While one is not answered the next is left out. */
static int
send(struct heartbeat *h, int64_t now)
{
	h->at = now + h->every;
	if (h->sent > 0)
		return EXIT_DONE;
	h->sent = now;
	if (PQsendQuery(h->pg.conn, SQL_HEARTBEAT) == 0)
		return pg_failed(&h->pg, doing, NULL);
	return EXIT_DONE;
}

static int
receive(struct heartbeat *h)
{
	int rc;

	if (PQconsumeInput(h->pg.conn) == 0)
		return pg_failed(&h->pg, doing, NULL);
	if (h->sent == 0 || PQisBusy(h->pg.conn) != 0)
		return EXIT_DONE;
	rc = pg_finish(&h->pg, doing, NULL);
	h->sent = 0;
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
	log_error("could not %s: it does not answer", doing);
	return EXIT_RETRY;
}

void
heartbeat_close(struct heartbeat *h)
{
	pg_close(&h->pg);
}

bool
heartbeat_is(struct view after_data)
{
	struct view head = VIEW_LIT("{\"prefix\":\"philotes.heartbeat\",");

	return after_data.n >= head.n &&
	    memcmp(after_data.p, head.p, head.n) == 0;
}
