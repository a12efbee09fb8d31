#include "reader/waiting.h"

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/num.h"
#include "sql.h"

#define AGAIN_MS 20
#define TELL_MS  1000
#define NAMED    10 /* transactions in a message */

static const char doing[] = "look for transactions that wait for a standby";

/* The stream has the low 32 bits of an xid only. */
static bool
add_once(struct visible *v, uint32_t xid)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->xids[i] == xid)
			return true;
	return visible_add(v, xid);
}

/* Adds those of a list with commas. */
static bool
add_list(struct visible *v, struct view list)
{
	uint64_t xid;

	while (list.n > 0) {
		const char *comma = memchr(list.p, ',', list.n);
		size_t n = comma != NULL ? (size_t)(comma - list.p) : list.n;

		if (!num_parse_u64((struct view){list.p, n}, &xid) ||
		    !add_once(v, (uint32_t)xid))
			return false;
		n += comma != NULL;
		list = (struct view){list.p + n, list.n - n};
	}
	return true;
}

static int
add(struct pg *pg, struct visible *v, bool *named)
{
	PGresult *res = NULL;
	int rc = pg_query(pg, doing, SQL_WAITING, 0, NULL, &res);

	*named = false;
	if (rc == EXIT_DONE && PQntuples(res) == 1) {
		*named = view_eq(pg_value(res, 0, 1), VIEW_LIT("t"));
		if (!add_list(v, pg_value(res, 0, 0))) {
			log_error("could not %s: out of memory", doing);
			rc = EXIT_OS;
		}
	}
	PQclear(res);
	return rc;
}

/* A signal ends a session's wait for a moment, in which it is not seen to wait.
 * So this looks twice. */
int
waiting_add(struct pg *pg, struct visible *v)
{
	bool named;
	int rc = add(pg, v, &named);

	if (rc != EXIT_DONE || !named)
		return rc;
	fdio_pause(AGAIN_MS);
	return add(pg, v, &named);
}

static bool
is_time_to_tell(struct visible *v)
{
	int64_t now = clock_ms();

	if (v->n == 0)
		return false;
	if (v->oldest_since == 0 || v->oldest != v->xids[0]) {
		v->oldest = v->xids[0];
		v->oldest_since = now;
		v->told = false;
	}
	return !v->told && now >= v->oldest_since + TELL_MS;
}

void
waiting_log(struct visible *v)
{
	struct buf names = BUF_INIT;

	if (!is_time_to_tell(v))
		return;
	v->told = true;
	for (size_t i = 0; i < v->n && i < NAMED; i++)
		buf_addf(
		    &names, "%s%u", i > 0 ? ", " : "", (unsigned)v->xids[i]);
	if (v->n > NAMED)
		buf_addf(&names, " and %zu more", v->n - NAMED);
	log_warning("the snapshot waits for transactions to become visible: "
		    "%.*s; see pg_stat_activity, backend_xid",
	    VIEW_FMT(buf_view(&names)));
	buf_release(&names);
}
