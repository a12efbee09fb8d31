#include <stdlib.h>

#include "base/clock.h"
#include "batcher/when.h"
#include "tap.h"

#define NOW "2026-03-01T12:30:15.250000Z"

/* What a text means at NOW; null: nothing. */
static const struct {
	const char *text;
	const char *when;
} times[] = {
    {"now", NOW},
    {"NOW", NOW},
    {"today", "2026-03-01T00:00:00.000000Z"},
    {"yesterday", "2026-02-28T00:00:00.000000Z"},
    {"Yesterday", "2026-02-28T00:00:00.000000Z"},
    {"-1h", "2026-03-01T11:30:15.250000Z"},
    {"-1h30m", "2026-03-01T11:00:15.250000Z"},
    {"-7d", "2026-02-22T12:30:15.250000Z"},
    {"-2w", "2026-02-15T12:30:15.250000Z"},
    {"-0s", NOW},
    {"-1.5h", "2026-03-01T11:00:15.250000Z"},
    {"-250ms", "2026-03-01T12:30:15.000000Z"},
    {"-1 hour", "2026-03-01T11:30:15.250000Z"},
    {"-1d 12h", "2026-02-28T00:30:15.250000Z"},
    {"1h ago", "2026-03-01T11:30:15.250000Z"},
    {"1h30m ago", "2026-03-01T11:00:15.250000Z"},
    {"2 hours ago", "2026-03-01T10:30:15.250000Z"},
    {"2 Hours Ago", "2026-03-01T10:30:15.250000Z"},
    {"  2   hours  ago", "2026-03-01T10:30:15.250000Z"},
    {"1 hour ago", "2026-03-01T11:30:15.250000Z"},
    {"2hours ago", "2026-03-01T10:30:15.250000Z"},
    {"-90min", "2026-03-01T11:00:15.250000Z"},
    {"-1day", "2026-02-28T12:30:15.250000Z"},
    {"1day 12 hours ago", "2026-02-28T00:30:15.250000Z"},
    {"0hours ago", NOW},
    {"an hour ago", "2026-03-01T11:30:15.250000Z"},
    {"a day ago", "2026-02-28T12:30:15.250000Z"},
    {"0 days ago", NOW},
    {"1.5 days ago", "2026-02-28T00:30:15.250000Z"},
    {"3 weeks ago", "2026-02-08T12:30:15.250000Z"},
    {"15 sec ago", "2026-03-01T12:30:00.250000Z"},
    {"15 s ago", "2026-03-01T12:30:00.250000Z"},
    {"30 mins ago", "2026-03-01T12:00:15.250000Z"},
    {"1 hr 30 min ago", "2026-03-01T11:00:15.250000Z"},
    {"1 day 12h 30 minutes ago", "2026-02-28T00:00:15.250000Z"},
    {"2026-02-03", "2026-02-03T00:00:00.000000Z"},
    {"2026-02-03T04:05", "2026-02-03T04:05:00.000000Z"},
    {"2026-02-03 04:05:06.5", "2026-02-03T04:05:06.500000Z"},
    {"2026-02-03T04:05:06+01:00", "2026-02-03T03:05:06.000000Z"},
    {"", NULL},
    {" ", NULL},
    {"-", NULL},
    {"--1h", NULL},
    {"+1h", NULL},
    {"1h", NULL},
    {"-0", NULL},
    {"-1", NULL},
    {"-1x", NULL},
    {"-h", NULL},
    {"-now", NULL},
    {"-yesterday", NULL},
    {"- -1h", NULL},
    {"-1h ago", NULL},
    {"ago", NULL},
    {" ago", NULL},
    {"2 ago", NULL},
    {"0 ago", NULL},
    {"hours ago", NULL},
    {"2 hours", NULL},
    {"2 hours agone", NULL},
    {"2hours30 ago", NULL},
    {"2 30min ago", NULL},
    {"2h hours ago", NULL},
    {"0 0 hours ago", NULL},
    {"1 2 hours ago", NULL},
    {"a 2 hours ago", NULL},
    {"2 hours hours ago", NULL},
    {"2 hourss ago", NULL},
    {"two hours ago", NULL},
    {"-2 hours ago ago", NULL},
    {"1 month ago", NULL},
    {"500 ms ago", NULL},
    {"2 ds ago", NULL},
    {"1 year ago", NULL},
    {"1..5 hours ago", NULL},
    {". hours ago", NULL},
    {"-1 hours ago", NULL},
    {"2 hours\tago", NULL},
    {"tomorrow", NULL},
    {"now now", NULL},
    {"in 2 hours", NULL},
    {"-999999999999h", NULL},
    {"99999999999999999999 days ago", NULL},
    {"2026-13-01", NULL},
    {"2026-01-01T25:00", NULL},
    {"2026-01-01; DROP", NULL},
    {"12", NULL},
};

static void
test_times(int64_t now)
{
	struct buf b = BUF_INIT;
	int64_t t;

	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		bool good = when_parse(times[i].text, now, &t);

		if (times[i].when == NULL) {
			ok(!good, "\"%s\" is no time", times[i].text);
			continue;
		}
		buf_clear(&b);
		if (good)
			clock_format_pg(&b, t);
		is_view(buf_view(&b), view_of(times[i].when), "\"%s\"",
		    times[i].text);
	}
	buf_release(&b);
}

/* A day begins at midnight, also long ago. */
static void
test_midnight(void)
{
	int64_t before, day = INT64_C(86400000000), t = 1;

	ok(when_parse("today", 0, &t) && t == 0, "midnight is today's");
	ok(when_parse("today", -1, &t) && t == -day, "before 2000, too");
	ok(when_parse("yesterday", 1 - day, &t) && t == -2 * day,
	    "the day before that");
	ok(when_parse("-15250w", 0, &before) && before < 0,
	    "292 years are accepted");
}

int
main(void)
{
	int64_t now;

	if (!clock_parse_pg(VIEW_LIT(NOW), &now))
		abort();
	test_times(now);
	test_midnight();
	return done_testing();
}
