#include "reader/typename.h"
#include "tap.h"

static void
is_name(uint32_t oid, int32_t modifier, const char *wanted)
{
	struct buf b = BUF_INIT;

	ok(typename_add(&b, oid, modifier), "%u is PostgreSQL's own", oid);
	is_view(buf_view(&b), view_of(wanted), "- its name");
	buf_release(&b);
}

static void
test_names(void)
{
	struct buf b = BUF_INIT;

	is_name(20, -1, "bigint");
	is_name(1016, -1, "bigint[]");
	is_name(18, -1, "\"char\"");
	is_name(1560, -1, "\"bit\"");
	is_name(1560, 3, "bit(3)");
	is_name(1561, 3, "bit(3)[]");
	is_name(1700, (12 << 16 | 2) + 4, "numeric(12,2)");
	is_name(1231, (12 << 16 | 2) + 4, "numeric(12,2)[]");
	is_name(1700, (3 << 16 | (-5 & 0x7ff)) + 4, "numeric(3,-5)");
	is_name(1700, (1000 << 16 | 1000) + 4, "numeric(1000,1000)");
	is_name(1043, 44, "character varying(40)");
	is_name(1186, 0x7fff << 16 | 3, "interval(3)");
	is_name(1186, 0x7fff << 16 | 0xffff, "interval");
	is_name(1186, (8 | 1024 | 2048 | 4096) << 16 | 2,
	    "interval day to second(2)");
	is_name(1184, 0, "timestamp(0) with time zone");
	is_name(25, 7, "text");
	ok(!typename_add(&b, 0, -1) && !typename_add(&b, 16385, -1) &&
		!typename_add(&b, 2278, -1) && b.len == 0,
	    "0, an OID of the source's own and a pseudo type are none");
	buf_release(&b);
}

static void
test_find(void)
{
	ok(typename_find(VIEW_LIT("int8")) == 20, "int8");
	ok(typename_find(VIEW_LIT("_int8")) == 1016, "_int8");
	ok(typename_find(VIEW_LIT("bigint")) == 0, "bigint is no typname");
	ok(typename_find(VIEW_LIT("")) == 0, "the empty name");
	ok(typename_find(VIEW_LIT("_")) == 0, "an underscore");
	ok(typename_find(VIEW_LIT("_pg_database")) == 0, "no fixed OID");
}

static void
test_qualified(void)
{
	struct buf b = BUF_INIT;

	typename_add_qualified(&b, VIEW_LIT("public"), VIEW_LIT("a_1"));
	is_view(buf_view(&b), VIEW_LIT("public.a_1"), "plain names");
	buf_clear(&b);
	typename_add_qualified(&b, VIEW_LIT("1a"), VIEW_LIT("A\"b"));
	is_view(buf_view(&b), VIEW_LIT("\"1a\".\"A\"\"b\""), "others");
	buf_release(&b);
}

int
main(void)
{
	test_names();
	test_find();
	test_qualified();
	return done_testing();
}
