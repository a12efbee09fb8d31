/* Numbers and durations in text.  A function that reads one refuses text with
 * anything before or after it. */
#ifndef NUM_H
#define NUM_H

#include <stdint.h>

#include "base/view.h"

/* Decimal digits without a sign or leading zeros. */
bool num_parse_u64(struct view s, uint64_t *v);

/* The same, up to INT64_MAX. */
bool num_parse_i64(struct view s, int64_t *v);

/*
 * A duration in Go's syntax (package time, ParseDuration) without a sign:
 * decimal numbers with units ns, us, ms, s, m, h, as in 1h30m or 1.5s; 0 needs
 * no unit.  Two units are added: d, 24 hours, and w, 7 days.  The result is in
 * milliseconds, rounded up.  Durations from 2^63 nanoseconds on are refused.
 */
bool num_parse_duration(struct view s, int64_t *ms);

/* Writes v in decimal; returns the length, at most 20; no NUL is added. */
size_t num_format_u64(char to[20], uint64_t v);

#endif
