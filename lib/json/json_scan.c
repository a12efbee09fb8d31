/*
 * RFC 8259, with the white space taken in front of each token:
 *
 *	text	= value ws
 *	value	= ws ( object | array | string | number | literal )
 *	object	= "{" ( ws "}" | member *( ws "," member ) ws "}" )
 *	member	= ws string ws ":" value
 *	array	= "[" ( ws "]" | value *( ws "," value ) ws "]" )
 *	literal	= "true" | "false" | "null"
 *	number	= [ "-" ] ( "0" | 1-9 *DIGIT ) [ "." 1*DIGIT ]
 *		  [ ( "e" | "E" ) [ "+" | "-" ] 1*DIGIT ]
 *	string	= '"' *( plain | escape ) '"'
 *	plain	= UTF-8 (RFC 3629) from U+0020 on, except '"' and '\'
 *	escape	= '\' ( '"' | '\' | "/" | "b" | "f" | "n" | "r" | "t" )
 *		| "\u" 4HEXDIG
 *	ws	= *( " " | "\t" | "\n" | "\r" )
 */
#include "json/json_scan.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "json/json_escape.h"
#include "json/jsonb.h"

typedef unsigned char byte;

struct scan {
	const byte *p; /* the next byte */
	const byte *end;
	const byte *text;
	struct json_error *e;
	size_t depth;
	size_t max_depth;
	bool storable;                /* refuse what jsonb cannot hold */
	struct json_keys *keys;       /* NULL: duplicates are allowed */
	struct json_members *members; /* NULL: not needed */
	struct json_member *member;   /* the last of the outermost object */
	bool escaped;                 /* the key holds an escape */
	char open[JSON_DEPTH_MAX];    /* '{' or '[' of each open level */
	size_t first[JSON_DEPTH_MAX]; /* index of each level's first key */
};

static bool
fail(struct scan *s, const byte *at, const char *reason)
{
	s->e->reason = reason;
	s->e->offset = (size_t)(at - s->text);
	return false;
}

/* Refuses the byte at `at`, or the end of the text there. */
static bool
fail_unexpected(struct scan *s, const byte *at)
{
	if (at == s->end)
		return fail(s, at, "unexpected end");
	if (at == s->text && s->end - at >= 3 &&
	    memcmp(at, "\357\273\277", 3) == 0)
		return fail(s, at, "byte-order mark");
	return fail(s, at, "unexpected character");
}

/* Skips white space and returns the byte there, -1 at the end. */
static inline int
peek(struct scan *s)
{
	const byte *p = s->p;

	while (p < s->end && *p <= ' ' &&
	    (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
		p++;
	s->p = p;
	return p < s->end ? *p : -1;
}

static bool
is_digit(const byte *p, const byte *end)
{
	return p < end && *p >= '0' && *p <= '9';
}

static const byte *
skip_digits(const byte *p, const byte *end)
{
	while (is_digit(p, end))
		p++;
	return p;
}

static bool
take_number(struct scan *s)
{
	const byte *p = s->p, *end = s->end, *exponent = NULL;

	p += *p == '-';
	if (!is_digit(p, end))
		return fail_unexpected(s, p);
	p = *p == '0' ? p + 1 : skip_digits(p, end);
	if (p < end && *p == '.') {
		if (!is_digit(++p, end))
			return fail_unexpected(s, p);
		p = skip_digits(p, end);
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		exponent = p++;
		p += p < end && (*p == '+' || *p == '-');
		if (!is_digit(p, end))
			return fail_unexpected(s, p);
		p = skip_digits(p, end);
	}
	if (s->storable && (exponent != NULL || p - s->p > 16383) &&
	    !jsonb_number_fits(
		(struct view){(const char *)s->p, (size_t)(p - s->p)}))
		return fail(s, s->p, "number out of range");
	s->p = p;
	return true;
}

static inline bool
take_literal(struct scan *s, const char *word, size_t n)
{
	if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0) {
		while (s->p < s->end && *s->p == (byte)*word) {
			s->p++;
			word++;
		}
		return fail_unexpected(s, s->p);
	}
	s->p += n;
	return true;
}

/* Takes the escape at p; returns a pointer past it, or NULL. */
static const byte *
take_escape(struct scan *s, const byte *p)
{
	const byte *q = p + 1;

	s->escaped = true;
	if (s->member != NULL)
		s->member->escaped = true;
	if (q == s->end) {
		fail_unexpected(s, q);
		return NULL;
	}
	if (*q != 'u') {
		if (json_short_escape(*q) != '\0')
			return q + 1;
		fail(s, p, "unknown escape");
		return NULL;
	}
	q++;
	for (int i = 0; i < 4; i++, q++)
		if (q == s->end || json_hex_digit(*q) < 0) {
			fail_unexpected(s, q);
			return NULL;
		}
	if (s->storable) {
		/* the second escape of a pair has not been checked yet; if it
		 * is malformed, it is refused here already */
		q = p;
		switch (json_unicode_escape(&q, s->end)) {
		case 0:
			fail(s, p, "\\u0000 in a string");
			return NULL;
		case -1:
			fail(s, p, "lone surrogate");
			return NULL;
		}
	}
	return q;
}

/* Takes the bytes from 0x80 on at p; returns a pointer past them, or NULL. */
static const byte *
take_utf8(struct scan *s, const byte *p)
{
	const byte *q = p;
	size_t n = 1;

	while (q < s->end && *q >= 0x80)
		q++;
	if (utf8_valid((struct view){(const char *)p, (size_t)(q - p)}))
		return q;
	/* find the sequence that is invalid */
	while (n <= 4 && n <= (size_t)(q - p)) {
		if (utf8_valid((struct view){(const char *)p, n})) {
			p += n;
			n = 0;
		}
		n++;
	}
	fail(s, p, "invalid UTF-8");
	return NULL;
}

#define EACH_BYTE(c) (UINT64_C(0x0101010101010101) * (c))
/* The high bit of some byte is set if and only if some byte of x is below c;
 * the lowest high bit marks the first such byte. */
#define BELOW(x, c) (((x)-EACH_BYTE(c)) & ~(x))

static inline uint64_t
load8(const byte *p)
{
	return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 |
	    (uint64_t)p[3] << 24 | (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 |
	    (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

static inline bool
is_plain(byte c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static inline const byte *
skip_plain(const byte *p, const byte *end)
{
	for (; end - p >= 8; p += 8) {
		uint64_t x = load8(p);
		uint64_t special = (x | BELOW(x, 0x20) |
				       BELOW(x ^ EACH_BYTE('"'), 1) |
				       BELOW(x ^ EACH_BYTE('\\'), 1)) &
		    EACH_BYTE(0x80);
		if (special != 0)
			return p + (__builtin_ctzll(special) >> 3);
	}
	while (p < end && is_plain(*p))
		p++;
	return p;
}

/* Takes the rest of a string, from p on. */
static bool
take_rest_of_string(struct scan *s, const byte *p)
{
	for (;;) {
		p = skip_plain(p, s->end);
		if (p == s->end)
			return fail_unexpected(s, p);
		if (*p == '"')
			break;
		if (*p < 0x20)
			return fail(s, p, "control character in a string");
		p = *p == '\\' ? take_escape(s, p) : take_utf8(s, p);
		if (p == NULL)
			return false;
	}
	s->p = p + 1;
	return true;
}

/* Takes a string whose opening quote has been taken. */
static inline bool
take_string(struct scan *s)
{
	const byte *p = skip_plain(s->p, s->end);

	if (p == s->end || *p != '"')
		return take_rest_of_string(s, p);
	s->p = p + 1;
	return true;
}

/* The text from `from` on, up to `to`. */
static inline struct view
between(const byte *from, const byte *to)
{
	return (struct view){(const char *)from, (size_t)(to - from)};
}

static bool
add_member(struct scan *s, struct view key)
{
	struct json_members *m = s->members;
	size_t cap = m->cap > 0 ? m->cap * 2 : 16;
	struct json_member *a;

	if (m->n == m->cap) {
		a = realloc(m->a, cap * sizeof(*a));
		if (a == NULL)
			return fail(s, s->p, "out of memory");
		m->a = a;
		m->cap = cap;
	}
	s->member = &m->a[m->n++];
	s->member->key = key;
	s->member->escaped = s->escaped;
	return true;
}

static enum json_kind
kind_of(int first)
{
	switch (first) {
	case '{':
		return JSON_OBJECT;
	case '[':
		return JSON_ARRAY;
	case '"':
		return JSON_STRING;
	case 't':
	case 'f':
		return JSON_BOOL;
	case 'n':
		return JSON_NULL;
	default:
		return JSON_NUMBER;
	}
}

static bool
take_key(struct scan *s)
{
	const byte *from;
	struct view key;

	if (peek(s) != '"')
		return fail_unexpected(s, s->p);
	from = ++s->p;
	s->escaped = false;
	if (!take_string(s))
		return false;
	key = between(from, s->p - 1);
	if (s->keys != NULL &&
	    !json_keys_add(
		s->keys, key, s->escaped, (size_t)(from - s->text), s->e))
		return false;
	if (s->members != NULL && s->depth == 1 && !add_member(s, key))
		return false;
	if (peek(s) != ':')
		return fail_unexpected(s, s->p);
	s->p++;
	return true;
}

/* Opens an object or array, which begins with c. */
static bool
open_level(struct scan *s, char c)
{
	if (s->depth == s->max_depth)
		return fail(s, s->p, "nested too deep");
	if (s->keys != NULL)
		s->first[s->depth] = s->keys->n;
	s->open[s->depth++] = c;
	s->p++;
	return true;
}

static bool
close_level(struct scan *s)
{
	s->depth--;
	if (s->keys != NULL &&
	    !json_keys_close(s->keys, s->first[s->depth], s->e))
		return false;
	s->p++;
	return true;
}

/*
 * Takes a value.  Of an object or array that is not empty it takes only the
 * part before the first value, and sets *whole to false.
 */
static bool
take_value(struct scan *s, bool *whole)
{
	int c = peek(s);

	*whole = true;
	if (s->member != NULL && s->depth == 1) {
		s->member->kind = kind_of(c);
		s->member->value.p = (const char *)s->p;
	}
	switch (c) {
	case '"':
		s->p++;
		return take_string(s);
	case '{':
	case '[':
		if (!open_level(s, (char)c))
			return false;
		if (peek(s) == (c == '{' ? '}' : ']'))
			return close_level(s);
		*whole = false;
		return c == '[' || take_key(s);
	case 't':
		return take_literal(s, "true", 4);
	case 'f':
		return take_literal(s, "false", 5);
	case 'n':
		return take_literal(s, "null", 4);
	default:
		if (c != '-' && !is_digit(s->p, s->end))
			return fail_unexpected(s, s->p);
		return take_number(s);
	}
}

/* Moves from the end of a value to the next value, or out of all levels. */
static bool
take_next(struct scan *s)
{
	while (s->depth > 0) {
		bool object = s->open[s->depth - 1] == '{';
		int c;

		if (s->member != NULL && s->depth == 1)
			s->member->value.n = (size_t)((const char *)s->p -
			    s->member->value.p);
		c = peek(s);
		if (c == ',') {
			s->p++;
			return !object || take_key(s);
		}
		if (c != (object ? '}' : ']'))
			return fail_unexpected(s, s->p);
		if (!close_level(s))
			return false;
	}
	return true;
}

static bool
take_text(struct scan *s)
{
	bool whole;

	do {
		if (!take_value(s, &whole) || (whole && !take_next(s)))
			return false;
	} while (s->depth > 0);
	if (peek(s) != -1)
		return fail_unexpected(s, s->p);
	return true;
}

static void
scan_init(struct scan *s, struct view text, struct json_members *members,
    struct json_error *e)
{
	static const byte nothing[1];

	s->text = text.n > 0 ? (const byte *)text.p : nothing;
	s->p = s->text;
	s->end = s->text + text.n;
	s->e = e;
	s->depth = 0;
	s->max_depth = JSON_DEPTH_MAX;
	s->storable = false;
	s->keys = NULL;
	s->members = members;
	s->member = NULL;
	s->escaped = false;
	if (members != NULL)
		members->n = 0;
}

/* Clears the members after an error; returns false. */
static bool
no_members(struct json_members *m)
{
	if (m != NULL)
		m->n = 0;
	return false;
}

bool
json_scan(struct view text, struct json_members *members, struct json_error *e)
{
	struct scan s;

	scan_init(&s, text, members, e);
	return take_text(&s) || no_members(members);
}

/* The last member is dropped, since the error may be in its value. */
void
json_scan_head(struct view text, struct json_members *members)
{
	struct json_error ignored;
	struct scan s;

	scan_init(&s, text, members, &ignored);
	if (!take_text(&s) && members->n > 0)
		members->n--;
}

static bool
take_storable(struct scan *s, struct view text, size_t depth)
{
	s->max_depth = depth;
	s->storable = true;
	if (!take_text(s))
		return false;
	return jsonb_size_fits(text) || fail(s, s->text, "too large for jsonb");
}

void
json_members_release(struct json_members *m)
{
	json_keys_release(&m->keys);
	free(m->a);
	*m = (struct json_members){0};
}

bool
json_storable(
    struct view text, size_t depth, bool unique_keys, struct json_error *e)
{
	struct json_keys keys = {0};
	struct scan s;
	bool good;

	scan_init(&s, text, NULL, e);
	if (!unique_keys)
		return take_storable(&s, text, depth);
	s.keys = &keys;
	good = take_storable(&s, text, depth);
	json_keys_release(&keys);
	return good;
}

bool
json_scan_storable(struct view text, size_t depth, struct json_members *members,
    struct json_error *e)
{
	struct scan s;

	scan_init(&s, text, members, e);
	s.keys = &members->keys;
	json_keys_reset(s.keys);
	return take_storable(&s, text, depth) || no_members(members);
}
