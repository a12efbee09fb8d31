#include "reader/liveness.h"
#include "tap.h"

static struct liveness l;

static void
test_reports(void)
{
	liveness_start(&l, 1000, 60000, -1);
	ok(liveness_report_at(&l, 0) == 11000, "a report every 10 s");
	ok(liveness_report_at(&l, 5) == 1100,
	    "a report soon if more is durable");
	liveness_reported(&l, 1100, 5, false);
	ok(liveness_report_at(&l, 5) == 11100, "- once");
	liveness_request(&l, 1150);
	ok(liveness_report_at(&l, 5) == 1200,
	    "a report when the server asks, every 100 ms at most");
	liveness_reported(&l, 1200, 5, false);
	ok(liveness_report_at(&l, 5) == 11200, "- once");
	liveness_start(&l, 1000, 2000, -1);
	ok(liveness_report_at(&l, 0) == 1500,
	    "four reports within wal_sender_timeout");
	liveness_start(&l, 1000, 0, -1);
	ok(liveness_report_at(&l, 0) == 11000,
	    "the same if the server has no time-out");
}

static void
test_silence(void)
{
	liveness_start(&l, 1000, 0, 8000);
	ok(!liveness_asks(&l, 4999) && liveness_asks(&l, 5000),
	    "after half of the time the server is asked");
	ok(liveness_report_at(&l, 0) == 5000, "- in a report that is due then");
	ok(liveness_dead_at(&l) == INT64_MAX,
	    "before it is asked it is not dead");
	liveness_reported(&l, 5000, 0, true);
	ok(!liveness_asks(&l, 6000), "it is asked once");
	ok(liveness_dead_at(&l) == 9000, "it is dead after the other half");
	liveness_hear(&l, 8999);
	ok(liveness_dead_at(&l) == INT64_MAX, "unless it sends something");
	ok(!liveness_asks(&l, 12998) && liveness_asks(&l, 12999),
	    "- which restarts the time");
	/* after an hour without running we ask before we give up */
	ok(liveness_dead_at(&l) > 3600000,
	    "the time we did not run is not its silence");
}

static void
test_limits(void)
{
	liveness_start(&l, 1000, 30000, -1);
	ok(l.silence == 60000, "the limit is 60 s of silence");
	liveness_start(&l, 1000, 300000, -1);
	ok(l.silence == 300000, "or the server's own time-out if longer");
	liveness_start(&l, 1000, 300000, 5000);
	ok(l.silence == 5000, "or what is set");
	liveness_start(&l, 1000, 60000, 0);
	ok(!liveness_asks(&l, INT64_MAX - 1) &&
		liveness_dead_at(&l) == INT64_MAX &&
		liveness_report_at(&l, 0) == 11000,
	    "0: it is never asked and never dead");
	liveness_start(&l, 1000, 60000, 1);
	liveness_reported(&l, 1000, 0, true);
	ok(liveness_dead_at(&l) == 1001, "1 ms gives it 1 ms");
}

static void
test_bursts(void)
{
	liveness_start(&l, 1000, 60000, -1);
	ok(!liveness_request(&l, 50000) && !liveness_request(&l, 50100),
	    "two requests are no burst");
	ok(liveness_request(&l, 50200), "three are");
	ok(!liveness_stalled(&l, 52999) && liveness_stalled(&l, 53000),
	    "the server waits for 3 s at most");
	liveness_progress(&l, 52900);
	ok(!liveness_stalled(&l, 53000), "- after the last progress");
	ok(!liveness_request(&l, 53000) && !liveness_request(&l, 53100) &&
		liveness_request(&l, 53200) && !liveness_stalled(&l, 55999) &&
		liveness_stalled(&l, 56000),
	    "- and requests are counted again from 1");
	ok(!liveness_request(&l, 54201),
	    "requests a second apart are no burst either");
}

int
main(void)
{
	test_reports();
	test_silence();
	test_limits();
	test_bursts();
	return done_testing();
}
