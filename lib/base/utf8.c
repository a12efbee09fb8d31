#include "base/utf8.h"

#include <stdint.h>

/* The high bit of each byte of a word. */
#define HIGH_BITS UINT64_C(0x8080808080808080)

/*
 * The length of the sequence of several bytes at p, 0 if it is not well-formed
 * (RFC 3629, section 4).  The first byte restricts the range of the second one
 * only.
 */
static size_t
sequence(const unsigned char *p, size_t n)
{
	size_t len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	unsigned char low = 0x80, high = 0xbf;

	if (p[0] < 0xc2 || p[0] > 0xf4 || n < len)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

size_t
utf8_length(struct view s)
{
	const unsigned char *p = (const unsigned char *)s.p;

	return *p < 0x80 ? 1 : sequence(p, s.n);
}

bool
utf8_valid(struct view s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t n = s.n, len;
	uint64_t x;

	while (n > 0) {
		if (*p < 0x80) {
			len = 1;
			if (n >= sizeof(x)) {
				memcpy(&x, p, sizeof(x));
				if ((x & HIGH_BITS) == 0)
					len = sizeof(x);
			}
		} else if ((len = sequence(p, n)) == 0)
			return false;
		p += len;
		n -= len;
	}
	return true;
}

struct view
utf8_clip(struct view s, size_t max)
{
	if (s.n <= max)
		return s;
	while (max > 0 && ((unsigned char)s.p[max] & 0xc0) == 0x80)
		max--;
	return (struct view){s.p, max};
}
