#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "tap.h"

#define SECOND INT64_C(1000000)
#define DAY    (86400 * SECOND)
/* the range of PostgreSQL's timestamps (timestamp.h); END is excluded */
#define MIN_TIMESTAMP INT64_C(-211813488000000000)
#define END_TIMESTAMP INT64_C(9223371331200000000)

/* Formatted and parsed. */
static const struct {
	int64_t t;
	const char *text;
} known[] = {
    {0, "2000-01-01T00:00:00.000000Z"},
    {1, "2000-01-01T00:00:00.000001Z"},
    {-1, "1999-12-31T23:59:59.999999Z"},
    {59 * DAY, "2000-02-29T00:00:00.000000Z"},
    {60 * DAY - 1, "2000-02-29T23:59:59.999999Z"},
    {60 * DAY, "2000-03-01T00:00:00.000000Z"},
    {INT64_C(848668355949462), "2026-11-22T13:12:35.949462Z"},
    {-10957 * DAY, "1970-01-01T00:00:00.000000Z"},
    {-36466 * DAY, "1900-02-28T00:00:00.000000Z"},
    {-36465 * DAY, "1900-03-01T00:00:00.000000Z"},
    {-730119 * DAY, "0001-01-01T00:00:00.000000Z"},
    {-730120 * DAY, "0000-12-31T00:00:00.000000Z"},
    {-730485 * DAY, "0000-01-01T00:00:00.000000Z"},
    {-730426 * DAY, "0000-02-29T00:00:00.000000Z"},
    {2921940 * DAY - 1, "9999-12-31T23:59:59.999999Z"},
    {INT64_MAX, "infinity"},
    {INT64_MIN, "-infinity"},
};

static void
test_known(void)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		struct buf b = BUF_INIT;
		struct view text = view_of(known[i].text);
		int64_t t = 7;

		clock_format_pg(&b, known[i].t);
		is_view(buf_view(&b), text, "format %.*s", VIEW_FMT(text));
		ok(clock_parse_pg(text, &t) && t == known[i].t, "parse %.*s",
		    VIEW_FMT(text));
		buf_release(&b);
	}
}

/* A year outside 0000-9999 has a sign and at least five digits. */
static void
is_expanded(int64_t t, char sign, const char *year, const char *rest)
{
	struct buf b = BUF_INIT;
	size_t digits = 0, zeros = 1;
	int64_t back;

	clock_format_pg(&b, t);
	buf_str(&b);
	while (b.data[1 + digits] >= '0' && b.data[1 + digits] <= '9')
		digits++;
	while (b.data[zeros] == '0')
		zeros++;
	ok(b.data[0] == sign && digits >= 5, "%c and at least five digits: %s",
	    sign, b.data);
	is_view((struct view){b.data + zeros, 1 + digits - zeros},
	    view_of(year), "- its year");
	is_str(b.data + 1 + digits, rest, "- the rest");
	ok(clock_parse_pg(buf_view(&b), &back) && back == t, "- parsed again");
	buf_release(&b);
}

static void
test_expanded(void)
{
	is_expanded(2921940 * DAY, '+', "10000", "-01-01T00:00:00.000000Z");
	is_expanded(
	    END_TIMESTAMP - 1, '+', "294276", "-12-31T23:59:59.999999Z");
	is_expanded(-730485 * DAY - 1, '-', "1", "-12-31T23:59:59.999999Z");
	is_expanded(-730850 * DAY, '-', "1", "-01-01T00:00:00.000000Z");
}

static uint64_t state;

static uint64_t
rnd(uint64_t below)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

/* Compares with a calendar that counts day by day. */
static void
test_calendar(void)
{
	static const int lengths[] = {
	    31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int64_t day = -730485; /* 0000-01-01 */
	struct buf b = BUF_INIT;
	bool same = true;
	char wanted[40];

	for (int y = 0; y <= 2400 && same; y++)
		for (int m = 0; m < 12 && same; m++) {
			bool leap = (y % 4 == 0 && y % 100 != 0) ||
			    y % 400 == 0;
			int n = lengths[m] + (m == 1 && leap);

			for (int d = 1; d <= n && same; d++, day++) {
				int64_t back = 7;

				buf_clear(&b);
				clock_format_pg(&b, day * DAY);
				snprintf(wanted, sizeof(wanted),
				    "%04d-%02d-%02dT00:00:00.000000Z", y, m + 1,
				    d);
				same = view_eq(buf_view(&b), view_of(wanted)) &&
				    clock_parse_pg(buf_view(&b), &back) &&
				    back == day * DAY;
			}
		}
	ok(same, "every day from the year 0 to 2400");
	buf_release(&b);
}

static void
test_random(void)
{
	struct buf b = BUF_INIT;
	bool same = true;
	int64_t t = 0, back;

	for (int i = 0; i < 300000 && same; i++) {
		if (i % 2 == 0) /* from the year -4000 on */
			t = (int64_t)(rnd(UINT64_C(9412000000000000000)) -
			    UINT64_C(189000000000000000));
		else
			t = (int64_t)rnd(UINT64_C(2000000000000000)) -
			    1000000000000000;
		buf_clear(&b);
		clock_format_pg(&b, t);
		back = ~t;
		same = clock_parse_pg(buf_view(&b), &back) && back == t;
	}
	if (!ok(same, "random times are formatted and parsed"))
		tap_show("not this one", buf_view(&b));
	buf_release(&b);
}

#define AT(h, m, s) (((h)*3600 + (m)*60 + (s)) * SECOND)

/* Other spellings of RFC 3339, on 2000-01-01 or near. */
static const struct {
	const char *text;
	int64_t t;
} spellings[] = {
    {"2000-01-01 00:00:00Z", 0},
    {"2000-01-01t00:00:00z", 0},
    {"2000-01-01T12:34:56Z", AT(12, 34, 56)},
    {"2000-01-01T23:59:59Z", AT(23, 59, 59)},
    {"2000-01-01T00:00:00.1Z", 100000},
    {"2000-01-01T00:00:00.12Z", 120000},
    {"2000-01-01T00:00:00.123Z", 123000},
    {"2000-01-01T00:00:00.1234Z", 123400},
    {"2000-01-01T00:00:00.12345Z", 123450},
    {"2000-01-01T00:00:00.123456Z", 123456},
    {"2000-01-01T00:00:00.000001Z", 1},
    {"2000-01-01T00:00:00+00:00", 0},
    {"2000-01-01T00:00:00-00:00", 0},
    {"2000-01-01T01:00:00+01:00", 0},
    {"1999-12-31T23:00:00-01:00", 0},
    {"2000-01-01 05:30:00.5+05:30", 500000},
    {"2000-01-01T00:00:00-15:59", AT(15, 59, 0)},
    {"1999-12-31T23:59:59.999999-00:01", AT(0, 0, 59) + 999999},
    {"+002000-01-01T00:00:00Z", 0},
    {"+02000-01-01T00:00:00Z", 0},
};

static void
test_spellings(void)
{
	for (size_t i = 0; i < sizeof(spellings) / sizeof(*spellings); i++) {
		int64_t t = 7;

		ok(clock_parse_pg(view_of(spellings[i].text), &t) &&
			t == spellings[i].t,
		    "parse %s", spellings[i].text);
	}
}

static const char *const refused[] = {
    "",
    "2000",
    "2000-01-01",
    "2000-01-01T00:00Z",
    "2000-01-01T00:00:00",
    "2000-01-01T00:00:00.Z",
    "2000-01-01T00:00:00.1234567Z",
    "2000-01-01T00:00:00,5Z",
    "2000-01-01T00:00:00Zx",
    "2000-01-01T00:00:00Z ",
    " 2000-01-01T00:00:00Z",
    "2000-01-01T00:00:00 Z",
    "2000-01-01T00:00:00UTC",
    "2000-01-01T00:00:00+1",
    "2000-01-01T00:00:00+01",
    "2000-01-01T00:00:00+0100",
    "2000-01-01T00:00:00+01:60",
    "2000-01-01T00:00:00+99:00",
    "2000-01-01T00:00:00+01:00Z",
    "2000-01-01X00:00:00Z",
    "2000-01-01T24:00:00Z",
    "2000-01-01T00:60:00Z",
    "2000-01-01T00:00:61Z",
    "2000-01-01T-1:00:00Z",
    "2000-00-01T00:00:00Z",
    "2000-13-01T00:00:00Z",
    "2000-01-00T00:00:00Z",
    "2000-01-32T00:00:00Z",
    "2000-02-30T00:00:00Z",
    "2001-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2100-02-29T00:00:00Z",
    "2000-04-31T00:00:00Z",
    "2000-06-31T00:00:00Z",
    "2000-09-31T00:00:00Z",
    "2000-11-31T00:00:00Z",
    "200-01-01T00:00:00Z",
    "20000-01-01T00:00:00Z",
    "2000-1-01T00:00:00Z",
    "2000-01-1T00:00:00Z",
    "2000/01/01T00:00:00Z",
    "20000101T000000Z",
    "+2000-01-01T00:00:00Z",
    "+294277-01-01T00:00:00Z",
    "-005000-01-01T00:00:00Z",
    "+1000000-01-01T00:00:00Z",
    "99999999999999999999-01-01T00:00:00Z",
    "Infinity",
    "+infinity",
    "infinit",
    "infinity ",
    "now",
    "2000-01-01T00:00:0\xd9Z",
};

static void
test_refused(void)
{
	const char *good = "2000-01-01T00:00:00.123456+05:30";
	size_t n = strlen(good);
	char *exact;
	bool none = true;
	int64_t t;

	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		ok(!clock_parse_pg(view_of(refused[i]), &t), "refused: \"%s\"",
		    refused[i]);
	ok(!clock_parse_pg(VIEW_NULL, &t), "refused: null");
	ok(!clock_parse_pg(VIEW_LIT("2000-01-01T00:00:00\0"), &t),
	    "refused: a NUL as the zone");
	for (size_t i = 0; i < n && none; i++) {
		exact = malloc(i > 0 ? i : 1);
		if (exact == NULL)
			abort();
		memcpy(exact, good, i);
		none = !clock_parse_pg((struct view){exact, i}, &t);
		free(exact);
	}
	ok(none, "refused: %s cut anywhere", good);
}

static void
test_now(void)
{
	int64_t before = clock_pg(), unix_now = (int64_t)time(NULL), ms;

	ok(before / SECOND + 946684800 <= unix_now + 1 &&
		before / SECOND + 946684800 >= unix_now - 5,
	    "clock_pg is time(2)'s time");
	ms = clock_ms();
	ok(clock_ms() >= ms, "clock_ms does not go back");
	ok(clock_left(ms) == 0 && clock_left(ms - 1000) == 0,
	    "clock_left is 0 for the past");
	ok(clock_left(clock_ms() + 3600000) > 3500000,
	    "- and most of an hour for a time in an hour");
}

static void
test_limits(void)
{
	/* 4714-11-24 BC, day 0 of the Julian calendar */
	is_expanded(MIN_TIMESTAMP, '-', "4713", "-11-24T00:00:00.000000Z");
	ok(clock_valid_pg(MIN_TIMESTAMP) && !clock_valid_pg(MIN_TIMESTAMP - 1),
	    "the first timestamp");
	ok(clock_valid_pg(END_TIMESTAMP - 1) && !clock_valid_pg(END_TIMESTAMP),
	    "the last timestamp");
	ok(clock_valid_pg(INT64_MAX) && clock_valid_pg(INT64_MIN),
	    "infinity is valid");
}

int
main(void)
{
	const char *seed = getenv("SEED");

	state = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
	printf("# SEED=%llu\n", (unsigned long long)state);
	test_known();
	test_expanded();
	test_calendar();
	test_random();
	test_spellings();
	test_refused();
	test_now();
	test_limits();
	return done_testing();
}
