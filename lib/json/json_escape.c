/*
 *	escape	= '\' ( '"' | '\' | "/" | "b" | "f" | "n" | "r" | "t" )
 *		| "\u" 4HEXDIG
 */
#include "json/json_escape.h"

typedef unsigned char byte;

int
json_hex_digit(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The number in the four digits at p, or -1. */
static long
hex4(const byte *p, const byte *end)
{
	long v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = json_hex_digit(p[i]);

		if (digit < 0)
			return -1;
		v = v * 16 + digit;
	}
	return v;
}

long
json_unicode_escape(const unsigned char **p, const unsigned char *end)
{
	const byte *q = *p + 2;
	long c = hex4(q, end), low;

	q += 4;
	if (c >= 0xdc00 && c <= 0xdfff)
		return -1;
	if (c >= 0xd800 && c <= 0xdbff) {
		if (end - q < 6 || q[0] != '\\' || q[1] != 'u')
			return -1;
		low = hex4(q + 2, end);
		if (low < 0xdc00 || low > 0xdfff)
			return -1;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		q += 6;
	}
	*p = q;
	return c;
}

char
json_short_escape(unsigned char c)
{
	switch (c) {
	case '"':
	case '\\':
	case '/':
		return (char)c;
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return '\0';
	}
}

static char *
put_utf8(char *to, long c)
{
	if (c < 0x80) {
		*to++ = (char)c;
		return to;
	}
	if (c < 0x800)
		*to++ = (char)(0xc0 | c >> 6);
	else {
		if (c < 0x10000)
			*to++ = (char)(0xe0 | c >> 12);
		else {
			*to++ = (char)(0xf0 | c >> 18);
			*to++ = (char)(0x80 | (c >> 12 & 0x3f));
		}
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
	}
	*to++ = (char)(0x80 | (c & 0x3f));
	return to;
}

struct view
json_unescape(struct view raw, struct buf *scratch, struct json_error *e)
{
	const byte *p = (const byte *)raw.p, *end, *stop;
	char *start, *to;
	long c;

	if (raw.n == 0 || memchr(p, '\\', raw.n) == NULL)
		return raw;
	/* no escape is shorter than what it stands for */
	start = to = buf_reserve(scratch, raw.n);
	if (start == NULL) {
		*e = (struct json_error){"out of memory", 0};
		return VIEW_NULL;
	}
	for (end = p + raw.n; p < end;) {
		stop = memchr(p, '\\', (size_t)(end - p));
		if (stop == NULL)
			stop = end;
		memcpy(to, p, (size_t)(stop - p));
		to += stop - p;
		p = stop;
		if (p == end)
			break;
		if (p[1] != 'u') {
			*to++ = json_short_escape(p[1]);
			p += 2;
			continue;
		}
		c = json_unicode_escape(&p, end);
		if (c < 0) {
			e->reason = "lone surrogate";
			e->offset = (size_t)(p - (const byte *)raw.p);
			return VIEW_NULL;
		}
		to = put_utf8(to, c);
	}
	scratch->len += (size_t)(to - start);
	return (struct view){start, (size_t)(to - start)};
}
