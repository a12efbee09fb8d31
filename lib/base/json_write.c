/*
 *	string	= '"' *( plain | escape ) '"'
 *	plain	= any byte from 0x20 on, except '"' and '\'
 *	escape	= '\' ( '"' | '\' | 'b' | 'f' | 'n' | 'r' | 't' )
 *		| "\u00" 2HEXDIG
 */
#include "base/json_write.h"

#include <stdint.h>

/* The letter of the escape of each control character. */
static const char letters[] = "uuuuuuuubtnufruuuuuuuuuuuuuuuuuu";

#define EACH_BYTE(c) (UINT64_C(0x0101010101010101) * (c))
/* The high bit of some byte is set if and only if some byte of x is below c. */
#define BELOW(x, c) (((x)-EACH_BYTE(c)) & ~(x))

/* Are all of these 8 bytes plain? */
static bool
all_plain(const unsigned char *p)
{
	uint64_t x;

	memcpy(&x, p, sizeof(x));
	return ((BELOW(x, 0x20) | BELOW(x ^ EACH_BYTE('"'), 1) |
		    BELOW(x ^ EACH_BYTE('\\'), 1)) &
		   EACH_BYTE(0x80)) == 0;
}

static const unsigned char *
skip_plain(const unsigned char *p, const unsigned char *end)
{
	while (end - p >= 8 && all_plain(p))
		p += 8;
	while (p < end && *p >= 0x20 && *p != '"' && *p != '\\')
		p++;
	return p;
}

static void
put_escape(struct buf *b, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	char letter = c < 0x20 ? letters[c] : (char)c;
	char to[6] = {'\\', letter, '0', '0', hex[c >> 4], hex[c & 15]};

	buf_add(b, to, letter == 'u' ? 6 : 2);
}

void
json_write_string(struct buf *b, struct view s)
{
	const unsigned char *p = (const unsigned char *)s.p, *from, *end;

	if (p == NULL) {
		buf_add(b, "null", 4);
		return;
	}
	if (buf_reserve(b, s.n + 2) == NULL)
		return;
	buf_addc(b, '"');
	for (end = p + s.n; p < end; p++) {
		from = p;
		p = skip_plain(p, end);
		buf_add(b, from, (size_t)(p - from));
		if (p == end)
			break;
		put_escape(b, *p);
	}
	buf_addc(b, '"');
}
