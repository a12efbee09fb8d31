/*
 * Time.  Timers run on the monotonic clock; dates are PostgreSQL's own:
 * microseconds since 2000-01-01 00:00:00 UTC, INT64_MAX and INT64_MIN being
 * infinity and -infinity (src/include/datatype/timestamp.h).
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

#include "base/buf.h"

/* Milliseconds of the monotonic clock. */
int64_t clock_ms(void);

/* Milliseconds until then, 0 if it has passed. */
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

/* Lets the CPU go for this long; a signal may end it early. */
void clock_doze_us(long us);

/* Is it one, from 24 November 4714 BC to the end of 294276, or infinity? */
bool clock_valid_pg(int64_t t);

/*
 * Appends 2026-11-22T13:12:35.949462Z, always six digits; a year outside
 * 0000-9999 has a sign and at least five digits (ISO 8601, expanded form);
 * "infinity" and "-infinity" as they are.
 */
void clock_format_pg(struct buf *b, int64_t t);

/*
 * Reads what clock_format_pg writes, and RFC 3339 in general: any number of
 * fraction digits up to six, an offset for the Z, a space for the T.
 */
bool clock_parse_pg(struct view s, int64_t *t);

#endif
