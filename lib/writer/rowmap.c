#include "writer/rowmap.h"

#include <stdlib.h>

#include "base/lsn.h"

#define ROWS ((uint64_t)1 << 16)

bool
rowmap_add(struct rowmap *m, const struct row_origin *at)
{
	if (m->ring == NULL)
		m->ring = calloc(ROWS, sizeof(*m->ring));
	if (m->ring == NULL)
		return false;
	m->ring[m->next++ % ROWS] = *at;
	return true;
}

void
rowmap_drop(struct rowmap *m, uint64_t n)
{
	m->next -= n;
}

void
rowmap_describe(const struct rowmap *m, uint64_t n, struct buf *to)
{
	const struct row_origin *at = &m->ring[n % ROWS];

	if (n >= m->next || m->next - n > ROWS)
		return;
	buf_addf(to, " (line %llu", (unsigned long long)at->line);
	if (at->seq != 0)
		buf_addf(to, ", event %s %llu", lsn_text(at->commit_lsn).s,
		    (unsigned long long)at->seq);
	buf_addc(to, ')');
}

void
rowmap_release(struct rowmap *m)
{
	free(m->ring);
	*m = (struct rowmap){0};
}
