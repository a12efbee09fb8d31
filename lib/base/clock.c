#include "base/clock.h"

#include <time.h>

#define DAY_US        INT64_C(86400000000)
#define UNIX_TO_PG_US INT64_C(946684800000000)
/* days from 0000-03-01 to 2000-01-01 */
#define EPOCH_DAYS INT64_C(730425)
/* PostgreSQL's range: from 4714-11-24 BC, before the year 294277 */
#define MIN_TIMESTAMP INT64_C(-211813488000000000)
#define END_TIMESTAMP INT64_C(9223371331200000000)

int64_t
clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t
clock_pg(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000 - UNIX_TO_PG_US;
}

void
clock_doze_us(long us)
{
	struct timespec t = {0, us * 1000};

	nanosleep(&t, NULL);
}

/*
 * The proleptic Gregorian calendar.  Years begin in March, so that the leap day
 * is their last day; an era is 400 years, or 146097 days.
 */
static int64_t
days_from_civil(int64_t y, int64_t m, int64_t d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy -
	    EPOCH_DAYS;
}

static void
civil_from_days(int64_t days, int64_t *y, int *m, int *d)
{
	int64_t z = days + EPOCH_DAYS;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*d = (int)(doy - (153 * mp + 2) / 5 + 1);
	*m = (int)(mp < 10 ? mp + 3 : mp - 9);
	*y = yoe + era * 400 + (*m <= 2);
}

/* Writes n digits of v, most significant first; returns a pointer past them. */
static char *
put_digits(char *to, int64_t v, int n)
{
	for (int i = n - 1; i >= 0; i--) {
		to[i] = (char)('0' + v % 10);
		v /= 10;
	}
	return to + n;
}

#define TIME_TEXT 40

/* A finite time; returns the length. */
static size_t
format_time(char text[TIME_TEXT], int64_t t)
{
	int64_t days = t / DAY_US, us = t % DAY_US, year;
	int month, day;
	char *p = text;

	if (us < 0) {
		us += DAY_US;
		days--;
	}
	civil_from_days(days, &year, &month, &day);
	if (year >= 0 && year <= 9999) {
		p = put_digits(p, year, 4);
	} else {
		*p++ = year < 0 ? '-' : '+';
		p = put_digits(p, year < 0 ? -year : year, 6);
	}
	*p++ = '-';
	p = put_digits(p, month, 2);
	*p++ = '-';
	p = put_digits(p, day, 2);
	*p++ = 'T';
	p = put_digits(p, us / 3600000000, 2);
	*p++ = ':';
	p = put_digits(p, us / 60000000 % 60, 2);
	*p++ = ':';
	p = put_digits(p, us / 1000000 % 60, 2);
	*p++ = '.';
	p = put_digits(p, us % 1000000, 6);
	*p++ = 'Z';
	return (size_t)(p - text);
}

void
clock_format_pg(struct buf *b, int64_t t)
{
	/* the rows of a transaction have the same time */
	static char text[TIME_TEXT];
	static int64_t last;
	static size_t n;

	if (t == INT64_MAX || t == INT64_MIN) {
		buf_adds(b, t > 0 ? "infinity" : "-infinity");
		return;
	}
	if (t != last || n == 0) {
		n = format_time(text, t);
		last = t;
	}
	buf_add(b, text, n);
}

/* The text still to be read.  After a failure every read returns 0. */
struct scan {
	struct view s;
	bool failed;
};

static int64_t
scan_digits(struct scan *c, size_t n)
{
	int64_t v = 0;

	if (c->s.n < n)
		c->failed = true;
	for (size_t i = 0; i < n && !c->failed; i++) {
		if (c->s.p[i] < '0' || c->s.p[i] > '9')
			c->failed = true;
		v = v * 10 + (c->s.p[i] - '0');
	}
	if (c->failed)
		return 0;
	c->s.p += n;
	c->s.n -= n;
	return v;
}

static char
scan_one_of(struct scan *c, const char *set)
{
	char got;

	if (c->failed || c->s.n == 0 || c->s.p[0] == '\0' ||
	    strchr(set, c->s.p[0]) == NULL) {
		c->failed = true;
		return '\0';
	}
	got = c->s.p[0];
	c->s.p++;
	c->s.n--;
	return got;
}

static int64_t
scan_year(struct scan *c)
{
	char sign;
	size_t n = 0;
	int64_t y;

	if (c->s.n == 0 || (c->s.p[0] != '+' && c->s.p[0] != '-'))
		return scan_digits(c, 4);
	sign = scan_one_of(c, "+-");
	while (n < c->s.n && c->s.p[n] >= '0' && c->s.p[n] <= '9')
		n++;
	if (n < 5 || n > 6)
		c->failed = true;
	y = scan_digits(c, n);
	return sign == '-' ? -y : y;
}

static int64_t
scan_fraction(struct scan *c)
{
	int64_t us = 0, unit = 100000;

	if (c->s.n == 0 || c->s.p[0] != '.')
		return 0;
	scan_one_of(c, ".");
	do {
		us += scan_digits(c, 1) * unit;
		unit /= 10;
	} while (
	    unit > 0 && c->s.n > 0 && c->s.p[0] >= '0' && c->s.p[0] <= '9');
	return us;
}

/* Minutes east of UTC. */
static int64_t
scan_zone(struct scan *c)
{
	char sign = scan_one_of(c, "Zz+-");
	int64_t hours, minutes;

	if (sign == 'Z' || sign == 'z' || c->failed)
		return 0;
	hours = scan_digits(c, 2);
	scan_one_of(c, ":");
	minutes = scan_digits(c, 2);
	if (hours > 15 || minutes > 59)
		c->failed = true;
	return (hours * 60 + minutes) * (sign == '-' ? -1 : 1);
}

static int64_t
scan_below(struct scan *c, int64_t low, int64_t limit)
{
	int64_t v = scan_digits(c, 2);

	if (v < low || v >= limit)
		c->failed = true;
	return v;
}

bool
clock_valid_pg(int64_t t)
{
	return t == INT64_MIN || t == INT64_MAX ||
	    (t >= MIN_TIMESTAMP && t < END_TIMESTAMP);
}

bool
clock_parse_pg(struct view s, int64_t *t)
{
	struct scan c = {s, false};
	int64_t year, month, day, us, back;
	int m, d;

	if (view_eq(s, VIEW_LIT("infinity")) ||
	    view_eq(s, VIEW_LIT("-infinity"))) {
		*t = s.p[0] == '-' ? INT64_MIN : INT64_MAX;
		return true;
	}
	year = scan_year(&c);
	scan_one_of(&c, "-");
	month = scan_below(&c, 1, 13);
	scan_one_of(&c, "-");
	day = scan_below(&c, 1, 32);
	scan_one_of(&c, "Tt ");
	us = scan_below(&c, 0, 24) * 3600;
	scan_one_of(&c, ":");
	us += scan_below(&c, 0, 60) * 60;
	scan_one_of(&c, ":");
	us = (us + scan_below(&c, 0, 60)) * 1000000;
	us += scan_fraction(&c);
	us -= scan_zone(&c) * 60000000;
	/* a larger year would overflow the multiplication below */
	if (c.failed || c.s.n > 0 || year < -4713 || year > 294276)
		return false;
	*t = days_from_civil(year, month, day) * DAY_US + us;
	civil_from_days(days_from_civil(year, month, day), &back, &m, &d);
	return back == year && m == month && d == day && clock_valid_pg(*t);
}
