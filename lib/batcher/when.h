/* A point in time as people write it. */
#ifndef WHEN_H
#define WHEN_H

#include <stdbool.h>
#include <stdint.h>

/*
 * when  = date | "now" | "today" | "yesterday" | "-" span | span "ago"
 * date  = an RFC 3339 date, perhaps with a time, perhaps with an offset; what
 *         is missing is midnight, or UTC
 * span  = one or more of: a duration (num.h); a number, "a" or "an" with a unit
 *         in words, from "second" to "weeks" or short, behind a space or not
 *
 * Days begin at midnight UTC.  Upper case counts as lower case.  now and *t are
 * times of clock.h.
 */
bool when_parse(const char *text, int64_t now, int64_t *t);

#endif
