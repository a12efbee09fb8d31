/* Points in time as people write them. */
#ifndef WHEN_H
#define WHEN_H

#include <stdbool.h>
#include <stdint.h>

/*
 * when  = date | "now" | "today" | "yesterday" | "-" span | span "ago"
 * date  = an RFC 3339 date, optionally with a time and an offset; the default
 *         time is midnight, the default offset UTC
 * span  = one or more of: a duration (num.h); a number, "a" or "an" and a unit,
 *         from "second" to "week", singular, plural or short, with or without
 *         a space before it
 *
 * Days begin at midnight UTC.  Case does not matter.  now and *t are times of
 * clock.h.
 */
bool when_parse(const char *text, int64_t now, int64_t *t);

#endif
