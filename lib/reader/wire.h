/*
 * A reader of binary server messages: integers are big-endian, a string ends
 * with a NUL byte.  It checks all bounds; the first failure sticks, and reads
 * after it return 0 or nothing.
 */
#ifndef WIRE_H
#define WIRE_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/utf8.h"
#include "base/view.h"

struct wire {
	struct view rest;   /* the unread part of the message */
	const char *reason; /* why the message is bad, a literal; NULL: it is
			     * good so far */
};

static inline void
wire_fail(struct wire *w, const char *reason)
{
	if (w->reason == NULL)
		w->reason = reason;
}

static inline uint64_t
wire_uint(struct wire *w, size_t bytes)
{
	uint64_t v;

	if (w->rest.n < bytes)
		wire_fail(w, "the message is truncated");
	if (w->reason != NULL)
		return 0;
	v = bytes_load(w->rest.p, bytes);
	w->rest = (struct view){w->rest.p + bytes, w->rest.n - bytes};
	return v;
}

static inline struct view
wire_bytes(struct wire *w, size_t n)
{
	struct view v = {w->rest.p, n};

	if (w->rest.n < n)
		wire_fail(w, "a length exceeds the message");
	if (w->reason != NULL)
		return VIEW_NULL;
	w->rest = (struct view){w->rest.p + n, w->rest.n - n};
	return v;
}

/* Reads a name, and returns it without its NUL byte. */
static inline struct view
wire_string(struct wire *w)
{
	const char *end = w->rest.n > 0 ? memchr(w->rest.p, '\0', w->rest.n)
					: NULL;
	struct view v;

	if (end == NULL)
		wire_fail(w, "a string is not terminated");
	if (w->reason != NULL)
		return VIEW_LIT("");
	v = wire_bytes(w, (size_t)(end - w->rest.p));
	wire_bytes(w, 1);
	if (!utf8_valid(v))
		wire_fail(w, "a name is not UTF-8");
	return v;
}

#endif
