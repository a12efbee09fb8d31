/* Numbers and durations in text; nothing but the whole text is accepted. */
#ifndef NUM_H
#define NUM_H

#include <stdint.h>

#include "base/view.h"

/* Decimal digits, no sign, no leading zeros but for 0 itself. */
bool num_parse_u64(struct view s, uint64_t *v);

/* The same, and up to INT64_MAX. */
bool num_parse_i64(struct view s, int64_t *v);

/*
 * A duration in Go's syntax (package time, ParseDuration): decimal numbers with
 * units ns, us, ms, s, m, h, as in 1h30m, 1.5s; 0 needs no unit.  No sign.
 * Beside Go's there are d, 24 hours, and w, 7 days.  Result in milliseconds,
 * what is smaller rounded up; at most 2^63 nanoseconds.
 */
bool num_parse_duration(struct view s, int64_t *ms);

/* Writes v in decimal; returns the length, at most 20; no NUL is added. */
size_t num_format_u64(char to[20], uint64_t v);

#endif
