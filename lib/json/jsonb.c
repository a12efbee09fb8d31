/*
 * How jsonb is stored (src/include/utils/jsonb.h, src/backend/utils/adt/jsonb.c
 * and jsonb_util.c):
 *
 *	container	= header entry* content*	both of 4 bytes
 *	content		= the bytes of a string | numeric | container
 *
 * An array has an entry for each element, an object two for each pair.
 * Numerics and containers are aligned to 4 bytes.  No container may be longer
 * than 2^28 - 1 bytes; since the outermost holds all others, only its length is
 * checked.  While the server parses an array or object, it keeps each element
 * (32 bytes) or pair (72 bytes) in memory that it doubles, up to 1 GB.
 */
#include "json/jsonb.h"

#include <limits.h>
#include <stdint.h>

#include "json/json_escape.h"

#define BYTES_MAX    ((size_t)268435455)
#define ELEMENTS_MAX ((size_t)1 << 24)
#define PAIRS_MAX    ((size_t)1 << 23)

#define ENTRY 4
#define PAD   3 /* at most */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * numeric stores digits in base 10000, of which the highest place is 10^131071,
 * and the scale as written, at most 16383.  Zero has no highest place.  The
 * exponent has a limit of its own.
 */
bool
jsonb_number_fits(struct view number)
{
	const char *p = number.p, *end = p + number.n;
	int64_t whole = 0, fraction = 0, exponent = 0, top = INT64_MIN;
	bool negative = false;

	p += *p == '-';
	while (p + whole < end && is_digit(p[whole]))
		whole++;
	for (int64_t place = whole - 1; p < end && (*p | 32) != 'e'; p++) {
		if (*p == '.')
			continue;
		if (*p != '0' && top == INT64_MIN)
			top = place;
		fraction += place-- < 0;
	}
	if (p < end) {
		negative = p[1] == '-';
		p += 1 + (p[1] == '-' || p[1] == '+');
	}
	for (; p < end && exponent < INT_MAX / 2; p++)
		exponent = exponent * 10 + (*p - '0');
	if (exponent >= INT_MAX / 2)
		return false;
	exponent = negative ? -exponent : exponent;
	return (top == INT64_MIN || top + exponent < 131072) &&
	    fraction - exponent <= 16383;
}

/* The text being measured; its quotes and brackets match. */
struct measure {
	const char *p;
	const char *end;
	size_t bytes; /* so far, rounded up */
	size_t depth;
	size_t n[JSONB_DEPTH_MAX + 1]; /* commas in each open container */
};

/* Measures the string whose opening quote is at m->p. */
static void
measure_string(struct measure *m)
{
	const unsigned char *p = (const unsigned char *)m->p + 1, *next;

	m->bytes += ENTRY;
	while (*p != '"') {
		long c = 0;

		next = p + (*p == '\\' ? 2 : 1);
		if (*p == '\\' && p[1] == 'u') {
			next = p;
			c = json_unicode_escape(
			    &next, (const unsigned char *)m->end);
			next += c < 0 ? 6 : 0;
		}
		m->bytes += c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
		p = next;
	}
	m->p = (const char *)p + 1;
}

/* numeric stores digits in groups of four, counted from the point. */
static void
measure_number(struct measure *m)
{
	const char *from = m->p;
	bool plain = true;

	while (m->p < m->end &&
	    (is_digit(*m->p) || strchr("+-.eE", *m->p) != NULL)) {
		plain = plain && (is_digit(*m->p) || m->p == from);
		m->p++;
	}
	m->bytes += ENTRY + PAD + 8 +
	    2 * (((size_t)(m->p - from) + (plain ? 3 : 6)) / 4);
}

static bool
measure_close(struct measure *m, size_t max)
{
	m->p++;
	return m->n[m->depth--] < max;
}

static bool
measure_one(struct measure *m)
{
	switch (*m->p) {
	case '"':
		measure_string(m);
		return true;
	case '{':
	case '[':
		m->bytes += ENTRY + PAD + 4;
		m->n[++m->depth] = 0;
		break;
	case '}':
		return measure_close(m, PAIRS_MAX);
	case ']':
		return measure_close(m, ELEMENTS_MAX);
	case ',':
		m->n[m->depth]++;
		break;
	case 't':
	case 'f':
	case 'n':
		m->bytes += ENTRY;
		m->p += *m->p == 'f' ? 4 : 3;
		break;
	default:
		if (*m->p == '-' || is_digit(*m->p)) {
			measure_number(m);
			return true;
		}
		break;
	}
	m->p++;
	return true;
}

static bool
measure(struct view text)
{
	struct measure m = {.p = text.p, .end = text.p + text.n};

	while (m.p < m.end && m.bytes <= BYTES_MAX)
		if (!measure_one(&m))
			return false;
	return m.bytes <= BYTES_MAX;
}

bool
jsonb_size_fits(struct view text)
{
	/* jsonb takes at most 8.5 times the text: 17 bytes for "0," */
	return text.n <= BYTES_MAX / 9 || measure(text);
}
