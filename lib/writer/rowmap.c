#include "writer/rowmap.h"

#include <stdlib.h>

#include "base/lsn.h"

#define PLACES ((uint64_t)1 << 16)

bool
rowmap_add(struct rowmap *p, const struct row_origin *at)
{
	/* memory that is not used yet costs nothing */
	if (p->ring == NULL)
		p->ring = calloc(PLACES, sizeof(*p->ring));
	if (p->ring == NULL)
		return false;
	p->ring[p->next++ % PLACES] = *at;
	return true;
}

void
rowmap_drop(struct rowmap *p, uint64_t n)
{
	p->next -= n;
}

void
rowmap_describe(const struct rowmap *p, uint64_t n, struct buf *to)
{
	const struct row_origin *at = &p->ring[n % PLACES];

	if (n >= p->next || p->next - n > PLACES)
		return;
	buf_addf(to, " (line %llu", (unsigned long long)at->line);
	if (at->seq != 0)
		buf_addf(to, ", event %s %llu", lsn_text(at->commit_lsn).s,
		    (unsigned long long)at->seq);
	buf_addc(to, ')');
}

void
rowmap_release(struct rowmap *p)
{
	free(p->ring);
	*p = (struct rowmap){0};
}
