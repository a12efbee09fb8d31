#include "base/lsn.h"

static const char hex[] = "0123456789ABCDEF";

static bool
parse_half(struct view s, uint64_t *v)
{
	*v = 0;
	if (s.n == 0 || s.n > 8 || (s.n > 1 && s.p[0] == '0'))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		const char *digit = memchr(hex, s.p[i], 16);

		if (digit == NULL)
			return false;
		*v = *v << 4 | (uint64_t)(digit - hex);
	}
	return true;
}

bool
lsn_parse(struct view s, uint64_t *lsn)
{
	const char *slash = s.n > 0 ? memchr(s.p, '/', s.n) : NULL;
	uint64_t high, low;
	size_t n;

	if (slash == NULL)
		return false;
	n = (size_t)(slash - s.p);
	if (!parse_half((struct view){s.p, n}, &high) ||
	    !parse_half((struct view){slash + 1, s.n - n - 1}, &low))
		return false;
	*lsn = high << 32 | low;
	return true;
}

static size_t
format_half(char *to, uint32_t v)
{
	size_t n = 1;

	while (n < 8 && v >> (4 * n) != 0)
		n++;
	for (size_t i = 0; i < n; i++)
		to[i] = hex[v >> (4 * (n - 1 - i)) & 15];
	return n;
}

size_t
lsn_format(char to[LSN_TEXT_MAX], uint64_t lsn)
{
	size_t n = format_half(to, (uint32_t)(lsn >> 32));

	to[n++] = '/';
	n += format_half(to + n, (uint32_t)lsn);
	to[n] = '\0';
	return n;
}

struct lsn_text
lsn_text(uint64_t lsn)
{
	struct lsn_text t = {{0}};

	lsn_format(t.s, lsn);
	return t;
}
