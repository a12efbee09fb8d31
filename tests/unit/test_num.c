#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "base/num.h"
#include "tap.h"

static const struct {
	const char *text;
	bool good;
	uint64_t value;
} numbers[] = {
    {"0", true, 0},
    {"1", true, 1},
    {"10", true, 10},
    {"1234567890", true, 1234567890},
    {"9223372036854775807", true, INT64_MAX},
    {"9223372036854775808", true, UINT64_C(9223372036854775808)},
    {"18446744073709551609", true, UINT64_MAX - 6},
    {"18446744073709551615", true, UINT64_MAX},
    {"18446744073709551616", false, 0},
    {"18446744073709551620", false, 0},
    {"184467440737095516150", false, 0},
    {"99999999999999999999", false, 0},
    {"", false, 0},
    {"00", false, 0},
    {"01", false, 0},
    {"+1", false, 0},
    {"-1", false, 0},
    {"-0", false, 0},
    {" 1", false, 0},
    {"1 ", false, 0},
    {"1.0", false, 0},
    {"1e3", false, 0},
    {"0x10", false, 0},
    {"1/", false, 0},
    {"1:", false, 0},
    {"\331\241", false, 0},
};

static void
test_numbers(void)
{
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		struct view s = view_of(numbers[i].text);
		uint64_t value = numbers[i].value, u = 7;
		bool fits = numbers[i].good && value <= INT64_MAX;
		int64_t n = 7;

		ok(num_parse_u64(s, &u) == numbers[i].good &&
			(!numbers[i].good || u == value),
		    "u64 \"%s\"", numbers[i].text);
		ok(num_parse_i64(s, &n) == fits &&
			(!fits || n == (int64_t)value),
		    "i64 \"%s\"", numbers[i].text);
	}
}

static void
test_views(void)
{
	char *exact = malloc(2);
	uint64_t u;
	int64_t n;

	if (exact == NULL)
		abort();
	memcpy(exact, "42", 2);
	ok(num_parse_u64((struct view){exact, 2}, &u) && u == 42,
	    "a number at the end of the memory");
	memcpy(exact, "5s", 2);
	ok(num_parse_duration((struct view){exact, 2}, &n) && n == 5000,
	    "a duration at the end of the memory");
	ok(!num_parse_duration((struct view){exact, 1}, &n), "- its number");
	ok(!num_parse_u64(VIEW_LIT("1\0"), &u), "a NUL is no digit");
	ok(!num_parse_duration(VIEW_LIT("1s\0"), &n), "a NUL is no unit");
	ok(!num_parse_u64(VIEW_NULL, &u), "null is no number");
	ok(!num_parse_duration(VIEW_NULL, &n), "null is no duration");
	free(exact);
}

static const struct {
	uint64_t value;
	const char *text;
} formats[] = {
    {0, "0"},
    {9, "9"},
    {10, "10"},
    {100, "100"},
    {1234567890, "1234567890"},
    {UINT64_MAX, "18446744073709551615"},
};

static uint64_t state;

static uint64_t
rnd(uint64_t below)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

static void
test_format(void)
{
	char text[20];
	bool same = true;

	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
		size_t n = num_format_u64(text, formats[i].value);

		is_view((struct view){text, n}, view_of(formats[i].text),
		    "format %s", formats[i].text);
	}
	for (int i = 0; i < 100000 && same; i++) {
		uint64_t v = rnd(UINT64_MAX) >> rnd(64), back;
		size_t n = num_format_u64(text, v);

		same = num_parse_u64((struct view){text, n}, &back) &&
		    back == v;
	}
	ok(same, "random numbers are formatted and parsed");
}

#define REFUSED (-1)

/* In milliseconds. */
static const struct {
	const char *text;
	int64_t ms;
} durations[] = {
    {"0", 0},
    {"0s", 0},
    {"0.0h", 0},
    {"5s", 5000},
    {"05s", 5000},
    {"500ms", 500},
    {"1.5s", 1500},
    {".5s", 500},
    {"1.s", 1000},
    {"1h30m", 5400000},
    {"30m1h", 5400000},
    {"1h1h", 7200000},
    {"1.5h0.5m", 5430000},
    {"168h", 604800000},
    {"7d", 604800000},
    {"1w", 604800000},
    {"1d12h", 129600000},
    {"1w1d1h1m1s1ms", 694861001},
    {"0.5d", 43200000},
    {"0.1w", 60480000},
    {".25d", 21600000},
    {"0.123456789d", 10666667},
    {"0.000001653439153w", 1000},
    {"106751d", INT64_C(9223286400000)},
    {"15250w", INT64_C(9223200000000)},
    {"2m", 120000},
    {"1h2m3s4ms", 3723004},
    {"1us", 1},
    {"1ns", 1},
    {"0ns", 0},
    {"999us", 1},
    {"1000us", 1},
    {"1001us", 2},
    {"1000000ns", 1},
    {"1000001ns", 2},
    {"1s1ns", 1001},
    {"0.1ms", 1},
    {"0.3s", 300},
    {"1.1s", 1100},
    {"4.35s", 4350},
    {"0.0005s", 1},
    {"100000h", INT64_C(360000000000)},
    {"", REFUSED},
    {"5", REFUSED},
    {"00", REFUSED},
    {"0.0", REFUSED},
    {"-1s", REFUSED},
    {"+1s", REFUSED},
    {"-0", REFUSED},
    {"1", REFUSED},
    {"1.5", REFUSED},
    {"s", REFUSED},
    {".s", REFUSED},
    {".", REFUSED},
    {"1..5s", REFUSED},
    {"1.2.3s", REFUSED},
    {"1e3s", REFUSED},
    {"1h30", REFUSED},
    {"1h 30m", REFUSED},
    {" 1s", REFUSED},
    {"1s ", REFUSED},
    {"1 s", REFUSED},
    {"1S", REFUSED},
    {"1sec", REFUSED},
    {"1D", REFUSED},
    {"1dd", REFUSED},
    {"1W", REFUSED},
    {"1mo", REFUSED},
    {"1y", REFUSED},
    {"1mss", REFUSED},
    {"1,5s", REFUSED},
    {"1s,", REFUSED},
    {"infs", REFUSED},
    {"nans", REFUSED},
    {"0x1s", REFUSED},
    {"9300000000s", REFUSED},
    {"106752d", REFUSED},
    {"15251w", REFUSED},
    {"2000000h2000000h", REFUSED},
    {"99999999999999999999h", REFUSED},
};

static void
test_durations(void)
{
	for (size_t i = 0; i < sizeof(durations) / sizeof(*durations); i++) {
		int64_t wanted = durations[i].ms, ms = 7;
		bool good = num_parse_duration(view_of(durations[i].text), &ms);

		if (!ok(good == (wanted != REFUSED) && (!good || ms == wanted),
			"duration \"%s\"", durations[i].text))
			printf("# got %lld\n", good ? (long long)ms : -1);
	}
}

/* Prints the table, for comparing other parsers: text, tab, milliseconds. */
static void
print_durations(void)
{
	for (size_t i = 0; i < sizeof(durations) / sizeof(*durations); i++)
		printf("%s\t%lld\n", durations[i].text,
		    (long long)durations[i].ms);
}

/* A whole number of milliseconds is exact in every spelling. */
static void
test_exact(void)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {{"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
	    {"w", 604800000}};
	char text[64];
	bool same = true;

	for (int i = 0; i < 300000 && same; i++) {
		size_t u = rnd(5);
		uint64_t whole = rnd(15000), fraction = rnd(1000);
		int64_t wanted = (int64_t)(whole * units[u].ms +
			    fraction * units[u].ms / 1000),
			got = -1;

		snprintf(text, sizeof(text), "%llu.%03llu%s",
		    (unsigned long long)whole, (unsigned long long)fraction,
		    units[u].unit);
		same = num_parse_duration(view_of(text), &got) && got == wanted;
		if (!same)
			printf("# %s: got %lld, wanted %lld\n", text,
			    (long long)got, (long long)wanted);
	}
	ok(same, "random durations of whole milliseconds are exact");
}

static void
test_long(void)
{
	struct buf b = BUF_INIT;
	int64_t ms = -1;
	bool good;

	for (int i = 0; i < 400; i++)
		buf_addc(&b, '9');
	buf_adds(&b, "s");
	ok(!num_parse_duration(buf_view(&b), &ms), "400 digits are too much");
	buf_clear(&b);
	buf_adds(&b, "1.");
	for (int i = 0; i < 400; i++)
		buf_addc(&b, '0');
	buf_adds(&b, "s");
	good = num_parse_duration(buf_view(&b), &ms);
	if (!ok(!good || ms == 1000,
		"1 with 400 digits after the point is refused or 1"))
		printf("# got %lld\n", (long long)ms);
	buf_release(&b);
}

int
main(int argc, char **argv)
{
	const char *seed = getenv("SEED");

	if (argc > 1 && strcmp(argv[1], "durations") == 0) {
		print_durations();
		return 0;
	}
	state = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
	printf("# SEED=%llu\n", (unsigned long long)state);
	test_numbers();
	test_views();
	test_format();
	test_durations();
	test_exact();
	test_long();
	return done_testing();
}
