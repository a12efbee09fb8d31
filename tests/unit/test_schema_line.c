/* Without a server: what decides whether a line is printed. */
#include <stdlib.h>

#include "base/log.h"
#include "reader/schema_line.h"
#include "tap.h"

static struct schema_lines lines = {
    .hints.conninfo = "host=/nonexistent dbname=none"};
static struct buf out;

/* A relation with one column, described anew. */
static struct relation *
describe(struct relation_cache *c, uint32_t oid, const char *table,
    const char *column)
{
	struct relation *r = relation_begin(
	    c, oid, VIEW_LIT("public"), view_of(table), 1);

	if (r == NULL)
		abort();
	r->identity = 'd';
	relation_column(c, r, view_of(column),
	    &(struct column_type){.oid = 1700, .modifier = (9 << 16) + 6},
	    true);
	if (!relation_end(c, r))
		abort();
	return r;
}

static void
is_told(struct relation *r, bool wanted, const char *why)
{
	buf_clear(&out);
	schema_lines_tell(&lines, r, VIEW_LIT("s"), &out);
	ok((out.len > 0) == wanted && !out.failed, "%s: %s",
	    wanted ? "a line" : "no line", why);
}

static void
test_lines(void)
{
	struct relation_cache stream = {0}, snapshot = {0};
	struct relation *r = describe(&stream, 7, "t", "a"), *ahead;

	is_told(r, true, "the first event");
	is_view(buf_view(&out),
	    VIEW_LIT("{\"control\":\"schema\",\"source_id\":\"s\","
		     "\"schema_name\":\"public\",\"table_name\":\"t\","
		     "\"schema\":\"f6eae918f650\",\"relid\":7,"
		     "\"replica_identity\":\"default\",\"key_columns\":[\"a\"],"
		     "\"primary_key\":null,\"columns\":[{\"name\":\"a\","
		     "\"type\":\"numeric(9,2)\"}]}\n"),
	    "its text without a catalog");
	is_told(r, false, "the next event");
	r = describe(&stream, 7, "t", "a");
	is_told(r, false, "described again, the same");
	r = describe(&stream, 7, "t", "b");
	is_told(r, true, "described again, otherwise");
	ahead = describe(&snapshot, 7, "t", "c");
	is_told(ahead, true, "a snapshot is ahead of the stream");
	is_told(ahead, false, "its next row");
	is_told(r, true, "the stream goes on where it was");
	r = describe(&stream, 7, "t", "c");
	is_told(r, true, "and comes where the snapshot was");
	is_told(describe(&snapshot, 7, "t", "c"), false, "a row there");
	relation_cache_release(&stream);
	relation_cache_release(&snapshot);
}

static void
test_names(void)
{
	struct relation_cache c = {0};

	is_told(describe(&c, 8, "u", "a"), true, "another table");
	is_told(describe(&c, 8, "v", "a"), true, "it gets another name");
	is_told(describe(&c, 8, "u", "a"), true, "and its old one again");
	is_told(describe(&c, 9, "u", "a"), true, "another one of that name");
	is_told(relation_find(&c, 8), true, "the stream still has the old one");
	relation_cache_release(&c);
}

static void
test_many(void)
{
	struct relation_cache c = {0};
	uint32_t told = 0;
	char name[16];

	for (uint32_t i = 0; i < 40000; i++) {
		snprintf(name, sizeof(name), "t%u", (unsigned)i % 20000);
		buf_clear(&out);
		schema_lines_tell(&lines,
		    describe(&c, 100 + i % 20000, name, "a"), VIEW_LIT("s"),
		    &out);
		told += out.len > 0;
	}
	ok(told >= 20000 && told <= 40000 && lines.cap <= 65536,
	    "many tables: some lines may come again, memory is bounded");
	relation_cache_release(&c);
}

int
main(void)
{
	struct log_kept kept = {.silent = true};

	log_init("test");
	log_configure(LOG_TEXT, LOG_ERROR, false);
	log_keep(&kept);
	test_lines();
	test_names();
	test_many();
	log_keep(NULL);
	log_kept_release(&kept);
	schema_lines_release(&lines);
	buf_release(&out);
	return done_testing();
}
