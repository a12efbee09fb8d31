#include "reader/snapshot_hold.h"

void
snapshot_hold_add(struct snapshot_hold *h, uint64_t end, uint64_t begin)
{
	size_t i = (h->first + h->n) % SNAPSHOT_HOLDS;

	h->ring[i].end = end;
	h->ring[i].begin = begin;
	h->n++;
}

void
snapshot_hold_from(struct snapshot_hold *h, uint64_t lsn)
{
	uint64_t *last = &h->hold;

	if (h->n > 0)
		last = &h->ring[(h->first + h->n - 1) % SNAPSHOT_HOLDS].begin;
	if (*last == UINT64_MAX)
		*last = lsn;
}

uint64_t
snapshot_hold_confirm(struct snapshot_hold *h, uint64_t durable)
{
	while (h->n > 0 && h->ring[h->first].end <= durable) {
		h->hold = h->ring[h->first].begin;
		h->first = (h->first + 1) % SNAPSHOT_HOLDS;
		h->n--;
	}
	return durable < h->hold ? durable : h->hold;
}
