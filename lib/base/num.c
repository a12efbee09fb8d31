#include "base/num.h"

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
	uint64_t ns;
} units[] = {
    {{"ns", 2}, 1},
    {{"us", 2}, 1000},
    {{"ms", 2}, 1000000},
    {{"s", 1}, 1000000000},
    {{"m", 1}, UINT64_C(60000000000)},
    {{"h", 1}, UINT64_C(3600000000000)},
    {{"d", 1}, UINT64_C(86400000000000)},
    {{"w", 1}, UINT64_C(604800000000000)},
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A number such as 1.5: the part before the point, and the part after it as
 * fraction / scale. */
struct decimal {
	uint64_t whole;
	uint64_t fraction;
	uint64_t scale;
};

/* Takes a number off the front of s.  Of the digits after the point only the
 * first twelve count. */
static bool
take_decimal(struct view *s, struct decimal *d)
{
	bool point = false, digits = false;
	size_t i;

	*d = (struct decimal){0, 0, 1};
	for (i = 0; i < s->n && (is_digit(s->p[i]) || s->p[i] == '.'); i++) {
		uint64_t digit = (uint64_t)(s->p[i] - '0');

		if (s->p[i] == '.' && point)
			return false;
		if (s->p[i] == '.') {
			point = true;
			continue;
		}
		digits = true;
		if (point && d->scale < UINT64_C(1000000000000)) {
			d->fraction = d->fraction * 10 + digit;
			d->scale *= 10;
		} else if (!point && d->whole > (INT64_MAX - digit) / 10) {
			return false;
		} else if (!point) {
			d->whole = d->whole * 10 + digit;
		}
	}
	*s = (struct view){s->p + i, s->n - i};
	return digits;
}

static bool
take_unit(struct view *s, uint64_t *ns)
{
	size_t n = 0;

	while (n < s->n && !is_digit(s->p[n]) && s->p[n] != '.')
		n++;
	for (size_t u = 0; u < sizeof(units) / sizeof(*units); u++) {
		if (!view_eq(units[u].name, (struct view){s->p, n}))
			continue;
		*ns = units[u].ns;
		*s = (struct view){s->p + n, s->n - n};
		return true;
	}
	return false;
}

/* fraction / scale of a unit, rounded down.  The common factors of ten are
 * removed first, so that the product fits into 64 bits. */
static uint64_t
part_of(const struct decimal *d, uint64_t ns)
{
	uint64_t scale = d->scale;

	for (; scale > 1 && ns % 10 == 0; scale /= 10)
		ns /= 10;
	return d->fraction * ns / scale;
}

bool
num_parse_duration(struct view s, int64_t *ms)
{
	uint64_t ns = 0, unit;
	struct decimal d;

	if (view_eq(s, VIEW_LIT("0"))) {
		*ms = 0;
		return true;
	}
	if (s.n == 0)
		return false;
	while (s.n > 0) {
		/* Go's limit: below 2^63 nanoseconds */
		if (!take_decimal(&s, &d) || !take_unit(&s, &unit) ||
		    d.whole > (INT64_MAX - ns) / unit)
			return false;
		ns += d.whole * unit;
		if (part_of(&d, unit) > INT64_MAX - ns)
			return false;
		ns += part_of(&d, unit);
	}
	*ms = (int64_t)(ns / 1000000 + (ns % 1000000 != 0));
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
