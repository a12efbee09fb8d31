#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "reader/relation.h"
#include "tap.h"

#define OIDS 200 /* in use */

static struct relation *
describe(struct relation_cache *c, uint32_t oid, const char *table)
{
	struct relation *r = relation_begin(
	    c, oid, VIEW_LIT("s"), view_of(table), 2);

	if (r == NULL)
		abort();
	relation_column(c, r, VIEW_LIT("i\"d"),
	    &(struct column_type){.oid = 23, .modifier = -1}, true);
	relation_column(c, r, VIEW_LIT("v"),
	    &(struct column_type){.oid = 25, .modifier = -1}, false);
	if (!relation_end(c, r))
		abort();
	return r;
}

static void
test_text(void)
{
	struct relation_cache c = {0};
	struct relation *r = describe(&c, 7, "t");

	is_view(r->schema_name, VIEW_LIT("s"), "schema");
	is_view(r->table_name, VIEW_LIT("t"), "table");
	is_view(r->key_columns, VIEW_LIT("[\"i\\\"d\"]"), "key columns");
	is_view(r->columns[0].json, VIEW_LIT("\"i\\\"d\":"), "first column");
	is_view(r->columns[1].json, VIEW_LIT("\"v\":"), "second column");
	ok(r->ncolumns == 2 && r->columns[0].key && !r->columns[1].key,
	    "which of them is the key");
	ok(relation_find(&c, 7) == r, "it is found");
	ok(relation_find(&c, 8) == NULL, "another OID is not found");
	r = describe(&c, 7, "u");
	is_view(relation_find(&c, 7)->table_name, VIEW_LIT("u"),
	    "a new description replaces it");
	ok(c.n == 1, "- in the same entry");
	relation_forget(&c, 7, r->described - 1);
	ok(relation_find(&c, 7) == r, "not forgotten: described since then");
	relation_forget(&c, 8, r->described);
	relation_forget(&c, 7, r->described);
	ok(relation_find(&c, 7) == NULL && c.n == 0, "forgotten");
	relation_cache_release(&c);
}

/* OIDs that collide in the hash table. */
static uint32_t
oid_of(int i)
{
	return (uint32_t)i * 4096 + 16384;
}

static void
test_many(void)
{
	const char *seed = getenv("SEED");
	unsigned state = seed != NULL ? (unsigned)strtoul(seed, NULL, 10)
				      : (unsigned)time(NULL);
	struct relation_cache c = {0};
	bool there[OIDS] = {false}, right = true;
	size_t n = 0;

	printf("# SEED=%u\n", state);
	srand(state);
	for (int k = 0; k < 20000 && right; k++) {
		int i = rand() % OIDS;

		if (rand() % 2 == 0) {
			describe(&c, oid_of(i), "t");
			n += !there[i];
			there[i] = true;
		} else {
			relation_forget(&c, oid_of(i), c.described);
			n -= there[i];
			there[i] = false;
		}
		for (int j = 0; j < OIDS; j++) {
			const struct relation *r = relation_find(&c, oid_of(j));

			right = right && (r != NULL) == there[j] &&
			    (r == NULL || r->oid == oid_of(j));
		}
		right = right && c.n == n;
	}
	ok(right, "20000 descriptions and ends: the relations are found");
	relation_cache_release(&c);
}

static void
test_oids(void)
{
	struct relation_cache c = {0};
	struct buf b = BUF_INIT;

	relation_oids(&c, &b);
	is_view(buf_view(&b), VIEW_LIT("{}"), "the OIDs of an empty cache");
	buf_clear(&b);
	describe(&c, 4294967295, "t");
	relation_oids(&c, &b);
	is_view(buf_view(&b), VIEW_LIT("{4294967295}"), "- of one relation");
	buf_release(&b);
	relation_cache_release(&c);
}

int
main(void)
{
	test_text();
	test_many();
	test_oids();
	return done_testing();
}
