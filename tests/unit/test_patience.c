#include "base/patience.h"
#include "tap.h"

static void
test_limit(void)
{
	struct patience p = {.limit = 60000};

	patience_start(&p, 1000);
	ok(patience_due_at(&p) == 6000, "after 5 s the wait is logged");
	ok(patience_look(&p, 5999) == PATIENCE_WAIT, "- not before");
	ok(patience_look(&p, 6000) == PATIENCE_SAY, "- then");
	ok(patience_look(&p, 6001) == PATIENCE_WAIT, "- once");
	ok(patience_due_at(&p) == 61000, "the limit is next");
	ok(patience_look(&p, 60999) == PATIENCE_WAIT,
	    "- the wait is not over before");
	ok(patience_look(&p, 61000) == PATIENCE_OVER, "- it is over then");
	patience_hear(&p, 60000);
	ok(patience_look(&p, 119999) == PATIENCE_WAIT,
	    "a sign of life restarts the limit, but not the wait");
	ok(patience_look(&p, 120000) == PATIENCE_OVER,
	    "- until the limit is reached");
	patience_start(&p, 200000);
	ok(patience_look(&p, 205000) == PATIENCE_SAY,
	    "another wait is logged, too");
}

static void
test_extremes(void)
{
	struct patience p = {.limit = 0};

	patience_start(&p, 1000);
	ok(patience_look(&p, 6000) == PATIENCE_SAY,
	    "without a limit the wait is logged");
	ok(patience_due_at(&p) == INT64_MAX &&
		patience_look(&p, INT64_MAX - 1) == PATIENCE_WAIT,
	    "- and never over");
	p.limit = 2000;
	patience_start(&p, 1000);
	ok(patience_due_at(&p) == 3000 &&
		patience_look(&p, 9000) == PATIENCE_OVER,
	    "with a limit below 5 s nothing is logged before it");
}

int
main(void)
{
	test_limit();
	test_extremes();
	return done_testing();
}
