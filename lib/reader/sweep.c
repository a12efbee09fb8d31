#include "reader/sweep.h"

#include "base/exitcode.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/num.h"
#include "reader/source.h"
#include "sql.h"

#define LIMIT 256 /* cache size before the first question */

static void
forget(struct sweep *s, struct relation_cache *c)
{
	uint64_t oid;

	for (int i = 0; i < PQntuples(s->gone); i++) {
		if (num_parse_u64(pg_value(s->gone, i, 0), &oid))
			relation_forget(c, (uint32_t)oid, s->described);
	}
	log_info("forgot %d dropped tables", PQntuples(s->gone));
	PQclear(s->gone);
	s->gone = NULL;
}

static int
ask(const struct sweep *s, const struct relation_cache *c, PGresult **gone)
{
	struct buf oids = BUF_INIT;
	struct pg pg;
	const char *params[1];
	int rc = source_connect(&pg, s->conninfo);

	relation_oids(c, &oids);
	params[0] = buf_str(&oids);
	if (rc == EXIT_DONE && params[0] != NULL)
		rc = pg_query(&pg, "look for tables that were dropped",
		    SQL_DROPPED_RELATIONS, 1, params, gone);
	pg_close(&pg);
	buf_release(&oids);
	return rc;
}

void
sweep_work(struct sweep *s, struct relation_cache *c, uint64_t complete)
{
	struct log_kept kept = {.silent = true};
	size_t left = c->n;
	PGresult *gone = NULL;
	int n;

	if (s->gone != NULL && complete >= s->lsn)
		forget(s, c);
	if (s->gone != NULL || c->n < (s->limit > 0 ? s->limit : LIMIT))
		return;
	/* a failure costs memory, nothing else */
	log_keep(&kept);
	if (ask(s, c, &gone) != EXIT_DONE)
		log_info("%.*s", VIEW_FMT(buf_view(&kept.error)));
	log_keep(NULL);
	log_kept_release(&kept);
	n = PQntuples(gone);
	if (n > 0 && lsn_parse(pg_value(gone, n - 1, 1), &s->lsn)) {
		left -= (size_t)n;
		s->described = c->described;
		s->gone = gone;
	} else {
		PQclear(gone);
	}
	s->limit = 2 * left > LIMIT ? 2 * left : LIMIT;
}

void
sweep_release(struct sweep *s)
{
	PQclear(s->gone);
	s->gone = NULL;
}
