#include "num.h"

bool
num_parse_u64(struct view s, uint64_t *v)
{
	uint64_t sum = 0;

	if (s.n == 0 || (s.n > 1 && s.p[0] == '0'))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		uint64_t digit = (uint64_t)(unsigned char)s.p[i] - '0';

		if (digit > 9 || sum > (UINT64_MAX - digit) / 10)
			return false;
		sum = sum * 10 + digit;
	}
	*v = sum;
	return true;
}

bool
num_parse_i64(struct view s, int64_t *v)
{
	uint64_t u;

	if (!num_parse_u64(s, &u) || u > INT64_MAX)
		return false;
	*v = (int64_t)u;
	return true;
}

static const struct {
	struct view name;
	double ns;
} units[] = {
    {{"ns", 2}, 1},
    {{"us", 2}, 1e3},
    {{"ms", 2}, 1e6},
    {{"s", 1}, 1e9},
    {{"m", 1}, 60e9},
    {{"h", 1}, 3600e9},
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* One "1.5h" off the front of s. */
static bool
take_term(struct view *s, double *ns)
{
	double number = 0, place = 1;
	bool digits = false, point = false;
	size_t i, from;

	for (i = 0; i < s->n && (is_digit(s->p[i]) || s->p[i] == '.'); i++) {
		if (s->p[i] == '.') {
			if (point)
				return false;
			point = true;
			continue;
		}
		digits = true;
		number = number * 10 + (s->p[i] - '0');
		place *= point ? 10 : 1;
	}
	for (from = i; i < s->n && !is_digit(s->p[i]) && s->p[i] != '.';)
		i++;
	for (size_t u = 0; digits && u < sizeof(units) / sizeof(*units); u++) {
		if (!view_eq(
			units[u].name, (struct view){s->p + from, i - from}))
			continue;
		*ns += number / place * units[u].ns;
		*s = (struct view){s->p + i, s->n - i};
		return true;
	}
	return false;
}

bool
num_parse_duration(struct view s, int64_t *ms)
{
	double ns = 0;

	if (view_eq(s, VIEW_LIT("0"))) {
		*ms = 0;
		return true;
	}
	if (s.n == 0)
		return false;
	while (s.n > 0) {
		/* Go's own limit is 2^63 nanoseconds */
		if (!take_term(&s, &ns) || ns >= 9.2e18)
			return false;
	}
	*ms = (int64_t)(ns / 1e6);
	if ((double)*ms * 1e6 < ns)
		++*ms;
	return true;
}

size_t
num_format_u64(char to[20], uint64_t v)
{
	char rev[20];
	size_t n = 0;

	do {
		rev[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	for (size_t i = 0; i < n; i++)
		to[i] = rev[n - 1 - i];
	return n;
}
