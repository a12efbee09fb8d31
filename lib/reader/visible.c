#include "reader/visible.h"

#include <stdlib.h>

/*
 * The stream has the low 32 bits of its xid; the rest is that of the snapshot's
 * epoch or one beside it.
 */
bool
visible_is(uint32_t xid, struct view snapshot)
{
	uint64_t v[2] = {0}, full, one = 0;
	const char *p = snapshot.p, *end = p + snapshot.n;

	for (int i = 0; i < 2; i++, p++)
		for (; p < end && *p != ':'; p++)
			v[i] = v[i] * 10 + (uint64_t)(*p - '0');
	full = (v[1] & ~(uint64_t)UINT32_MAX) | xid;
	if (full > v[1] + INT32_MAX)
		full -= (uint64_t)1 << 32;
	else if (full + INT32_MAX < v[1])
		full += (uint64_t)1 << 32;
	if (full < v[0] || full >= v[1])
		return full < v[0];
	for (; p <= end; p++) {
		if (p < end && *p != ',') {
			one = one * 10 + (uint64_t)(*p - '0');
			continue;
		}
		if (one == full)
			return false;
		one = 0;
	}
	return true;
}

bool
visible_add(struct visible *v, uint32_t xid)
{
	uint32_t *more;

	if (v->n == v->room) {
		more = realloc(v->xids, (v->room * 2 + 256) * sizeof(*more));
		if (more == NULL)
			return false;
		v->room = v->room * 2 + 256;
		v->xids = more;
	}
	v->xids[v->n++] = xid;
	return true;
}

bool
visible_all(struct visible *v, struct view snapshot)
{
	size_t left = 0;

	for (size_t i = 0; i < v->n; i++)
		if (!visible_is(v->xids[i], snapshot))
			v->xids[left++] = v->xids[i];
	v->n = left;
	return left == 0;
}

void
visible_release(struct visible *v)
{
	free(v->xids);
	*v = (struct visible){0};
}
