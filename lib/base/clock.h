/*
 * Time.  Timers use the monotonic clock.  Timestamps are PostgreSQL's:
 * microseconds since 2000-01-01 00:00:00 UTC; INT64_MAX and INT64_MIN are
 * infinity and -infinity (src/include/datatype/timestamp.h).
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

#include "base/buf.h"

/* Milliseconds of the monotonic clock. */
int64_t clock_ms(void);

/* Milliseconds until the deadline, 0 if it has passed. */
static inline int64_t
clock_left(int64_t deadline_ms)
{
	int64_t left = deadline_ms - clock_ms();

	return left > 0 ? left : 0;
}

/* The earlier of two times; INT64_MAX is never. */
static inline int64_t
clock_earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Now as a PostgreSQL timestamp. */
int64_t clock_pg(void);

/* Sleeps for less than 1,000,000 us; a signal may end the sleep early. */
void clock_doze_us(long us);

/* Is t a timestamp of PostgreSQL: from 24 November 4714 BC to the end of the
 * year 294276, or an infinity? */
bool clock_valid_pg(int64_t t);

/*
 * Appends t in the form 2026-11-22T13:12:35.949462Z, or "infinity" or
 * "-infinity".  A year outside 0000-9999 gets a sign and six digits (ISO 8601,
 * expanded form).
 */
void clock_format_pg(struct buf *b, int64_t t);

/*
 * Reads what clock_format_pg writes, and RFC 3339 with at most six digits of
 * fraction, an offset below 16 hours, and no leap second.  A space may stand
 * for the T; a year with a sign may have five digits.
 */
bool clock_parse_pg(struct view s, int64_t *t);

#endif
