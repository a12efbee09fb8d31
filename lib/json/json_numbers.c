#include "json/json_numbers.h"

#include <stdint.h>

#define DIGITS_MAX   15  /* DBL_DIG */
#define EXPONENT_MAX 307 /* below DBL_MAX_10_EXP, and as much above the least */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The exponent's digits from p on; large ones are as good as 100,000. */
static int64_t
read_exponent(const char *p, const char *end)
{
	bool negative = p < end && *p == '-';
	int64_t v = 0;

	for (; p < end; p++)
		if (is_digit(*p) && v < 100000)
			v = v * 10 + (*p - '0');
	return negative ? -v : v;
}

/*
 * Zeros at both ends are not significant.  The exponent of the first
 * significant digit counts: of 0.0012 it is -3.
 */
bool
json_number_is_safe(struct view number)
{
	const char *p = number.p, *end = p + number.n;
	int64_t before = 0, zeros = 0, digits = 0, trailing = 0, exponent = 0;
	bool point = false;

	for (; p < end && *p != 'e' && *p != 'E'; p++) {
		point = point || *p == '.';
		if (!is_digit(*p))
			continue;
		before += !point;
		if (digits == 0 && *p == '0') {
			zeros++;
		} else {
			digits++;
			trailing = *p == '0' ? trailing + 1 : 0;
		}
	}
	if (p < end)
		exponent = read_exponent(p + 1, end);
	exponent += before - zeros - 1;
	return digits == 0 ||
	    (digits - trailing <= DIGITS_MAX && exponent <= EXPONENT_MAX &&
		exponent >= -EXPONENT_MAX);
}

static bool
ends_number(char c)
{
	return !is_digit(c) && c != '-' && c != '+' && c != '.' && c != 'e' &&
	    c != 'E';
}

static const char *
skip_number(const char *p, const char *end)
{
	while (p < end && !ends_number(*p))
		p++;
	return p;
}

/* From the opening quote to past the closing one. */
static const char *
skip_string(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
		if (*p == '\\' && p + 1 < end)
			p++;
	return p < end ? p + 1 : end;
}

/* From a bracket to past the one that closes it. */
static const char *
skip_levels(const char *p, const char *end)
{
	size_t depth = 0;

	while (p < end) {
		char c = *p;

		if (c == '"') {
			p = skip_string(p, end);
			continue;
		}
		p++;
		if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && --depth == 0)
			break;
	}
	return p;
}

static bool
begins(const char *p, const char *end, const char *word)
{
	size_t n = strlen(word);

	return (size_t)(end - p) >= n && memcmp(p, word, n) == 0;
}

/* Skips an element that an SQL array of numbers may have; NULL: another one. */
static const char *
skip_element(const char *p, const char *end)
{
	static const char *const words[] = {
	    "null", "\"NaN\"", "\"Infinity\"", "\"-Infinity\"", "\"-0\""};

	if (is_digit(*p) || *p == '-')
		return skip_number(p, end);
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (begins(p, end, words[i]))
			return p + strlen(words[i]);
	return NULL;
}

/* Is the array at p, which ends before end, one of numbers? */
static bool
has_numbers_only(const char *p, const char *end)
{
	while (p != NULL && p < end) {
		if (*p == '[' || *p == ']' || *p == ',')
			p++;
		else
			p = skip_element(p, end);
	}
	return p != NULL;
}

/* Quotes the unsafe numbers of p to end.  *copied is where the text begins that
 * b lacks. */
static void
quote_numbers(
    const char *p, const char *end, const char **copied, struct buf *b)
{
	while (p < end) {
		const char *from = p;
		struct view number;

		if (*p == '"') {
			p = skip_string(p, end);
			continue;
		}
		if (!is_digit(*p) && *p != '-') {
			p++;
			continue;
		}
		p = skip_number(p, end);
		number = (struct view){from, (size_t)(p - from)};
		if (json_number_is_safe(number))
			continue;
		buf_add(b, *copied, (size_t)(from - *copied));
		buf_addc(b, '"');
		buf_addv(b, number);
		buf_addc(b, '"');
		*copied = p;
	}
}

/* p is at the first byte of a value, or at white space. */
static const char *
take_value(const char *p, const char *end, const char **copied, struct buf *b)
{
	const char *from = p;

	if (*p == '[') {
		p = skip_levels(p, end);
		if (has_numbers_only(from, p))
			quote_numbers(from, p, copied, b);
	} else if (*p == '{') {
		p = skip_levels(p, end);
	} else if (*p == '"') {
		p = skip_string(p, end);
	} else if (is_digit(*p) || *p == '-') {
		p = skip_number(p, end);
		quote_numbers(from, p, copied, b);
	} else {
		p++;
	}
	return p;
}

struct view
json_numbers_quote(struct view object, struct buf *b)
{
	const char *p = object.p, *end = p + object.n, *copied = p;

	buf_clear(b);
	while (p < end && *p == ' ')
		p++;
	if (p == end || *p != '{')
		return object;
	/* of the members' bytes only numbers and brackets matter: a key is
	 * skipped as a string value is */
	for (p++; p < end;)
		p = take_value(p, end, &copied, b);
	if (copied == object.p)
		return object;
	buf_add(b, copied, (size_t)(end - copied));
	return buf_view(b);
}
