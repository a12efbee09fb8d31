#include "reader/visible.h"
#include "tap.h"

static const struct {
	uint32_t xid;
	const char *snapshot;
	bool shown;
	const char *what;
} cases[] = {
    {9, "10:12:", true, "a transaction below xmin"},
    {10, "10:12:10", false, "one that runs"},
    {11, "10:12:10", true, "one between that has ended"},
    {12, "10:12:10", false, "one at xmax"},
    {13, "10:12:10", false, "one above xmax"},
    {13, "10:16:11,13,15", false, "one in the middle of the list"},
    {15, "10:16:11,13,15", false, "the last of the list"},
    {14, "10:16:11,13,15", true, "one that is not in the list"},
    {1, "10:16:1,11", true, "a list is not read below xmin"},
    /* 4294967296 is the first transaction of the second epoch */
    {4294967290, "4294967296:4294967300:", true, "the epoch before"},
    {3, "4294967296:4294967300:4294967297", true, "this epoch"},
    {1, "4294967296:4294967300:4294967297", false, "this epoch, running"},
    {5, "4294967290:4294967294:", false, "the epoch after"},
    {4294967293, "4294967290:4294967294:", true, "the end of an epoch"},
};

int
main(void)
{
	struct visible v = {0};
	size_t many = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		v.n = 0;
		visible_add(&v, cases[i].xid);
		ok(visible_all(&v, view_of(cases[i].snapshot)) ==
			cases[i].shown,
		    "%s: %u in %s", cases[i].what, (unsigned)cases[i].xid,
		    cases[i].snapshot);
	}
	v.n = 0;
	ok(visible_all(&v, view_of("10:10:")), "no transaction is all");
	for (uint32_t xid = 100; xid < 2100; xid++)
		many += visible_add(&v, xid);
	ok(many == 2000 && !visible_all(&v, view_of("1000:2100:1500")) &&
		v.n == 1 && v.xids[0] == 1500,
	    "those that are shown are forgotten");
	ok(visible_all(&v, view_of("2100:2100:")), "- and later the last");
	visible_release(&v);
	return done_testing();
}
