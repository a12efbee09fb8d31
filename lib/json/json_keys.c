#include "json/json_keys.h"

#include <stdlib.h>

#include "json/json_escape.h"

static struct json_key *
room(struct json_keys *k)
{
	size_t cap = k->cap > 0 ? k->cap * 2 : 16;
	struct json_key *a;

	if (k->n < k->cap)
		return &k->a[k->n];
	a = realloc(k->a, cap * sizeof(*a));
	if (a == NULL)
		return NULL;
	k->a = a;
	k->cap = cap;
	return &a[k->n];
}

void
json_keys_reset(struct json_keys *k)
{
	k->n = 0;
	buf_clear(&k->decoded);
}

bool
json_keys_add(struct json_keys *k, struct view raw, bool escaped, size_t at,
    struct json_error *e)
{
	size_t from = k->decoded.len;
	struct view key = escaped ? json_unescape(raw, &k->decoded, e) : raw;
	struct json_key *to = room(k);
	size_t n;

	if (key.p == NULL) {
		e->offset += at;
		return false;
	}
	if (to == NULL || k->decoded.failed) {
		*e = (struct json_error){"out of memory", at};
		return false;
	}
	*to = (struct json_key){.key = key, .from = from, .at = at};
	n = key.n < sizeof(to->head) ? key.n : sizeof(to->head);
	memcpy(&to->head, key.p, n);
	/* k->decoded may still move */
	if (key.p != raw.p)
		to->key.p = NULL;
	k->n++;
	return true;
}

static int
compare(const void *pa, const void *pb)
{
	const struct json_key *a = pa, *b = pb;

	if (a->head != b->head)
		return a->head < b->head ? -1 : 1;
	if (a->key.n != b->key.n)
		return a->key.n < b->key.n ? -1 : 1;
	return a->key.n > 0 ? memcmp(a->key.p, b->key.p, a->key.n) : 0;
}

/* So few keys are compared in pairs, which is faster than sorting. */
#define FEW_KEYS 16

bool
json_keys_close(struct json_keys *k, size_t first, struct json_error *e)
{
	struct json_key *a, *x, *y;
	size_t n = k->n - first;
	bool few = n <= FEW_KEYS;

	k->n = first;
	if (n < 2)
		return true;
	a = k->a + first;
	for (size_t i = 0; i < n; i++)
		if (a[i].key.p == NULL)
			a[i].key.p = k->decoded.data + a[i].from;
	if (!few)
		qsort(a, n, sizeof(*a), compare);
	for (size_t i = 1; i < n; i++)
		for (size_t j = few ? 0 : i - 1; j < i; j++) {
			x = &a[j];
			y = &a[i];
			if (x->head != y->head || compare(x, y) != 0)
				continue;
			e->reason = "duplicate key";
			e->offset = x->at > y->at ? x->at : y->at;
			return false;
		}
	return true;
}

void
json_keys_release(struct json_keys *k)
{
	free(k->a);
	buf_release(&k->decoded);
	*k = (struct json_keys){0};
}
