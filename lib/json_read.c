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
 *	plain	= UTF-8 (RFC 3629) from U+0020 on but '"' and '\'
 *	escape	= '\' ( '"' | '\' | "/" | "b" | "f" | "n" | "r" | "t" )
 *		| "\u" 4HEXDIG
 *	ws	= *( " " | "\t" | "\n" | "\r" )
 */
#include "json_read.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#include <jsmn.h>

#include "json_write.h"

typedef unsigned char byte;

/* A key of an object that is still open. */
struct key {
	uint64_t head;   /* its first bytes, to compare at once */
	struct view key; /* decoded; p is NULL while it is in `decoded` */
	size_t from;     /* where in `decoded` */
	size_t at;       /* offset in the text */
};

/* The keys of the open objects, the innermost object's last. */
struct keys {
	struct key *a;
	size_t n;
	size_t cap;
	size_t first[JSON_STORE_DEPTH + 1]; /* of each open object */
	struct buf decoded;
};

struct scan {
	const byte *p; /* the next byte */
	const byte *end;
	const byte *text;
	struct json_error *e;
	size_t depth;
	size_t max_depth;
	size_t ntokens;    /* as many as jsmn will make */
	bool storable;     /* refuse what jsonb could not hold */
	bool escaped;      /* an escape was seen; the caller resets it */
	struct keys *keys; /* NULL: duplicates are allowed */
	char open[JSON_DEPTH_MAX];
};

static bool
fail(struct scan *s, const byte *at, const char *reason)
{
	s->e->reason = reason;
	s->e->offset = (size_t)(at - s->text);
	return false;
}

/* The byte at `at` cannot stand there. */
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

/*
 * Can numeric hold it?  A number is kept as digits in base 10000, the highest
 * place being 10^131071, and with the scale it was written with, 16383 at
 * most.  A zero has no highest place.  The exponent alone has a limit, too.
 */
static bool
number_fits(const byte *p, const byte *end)
{
	int64_t whole = 0, fraction = 0, exponent = 0, top = INT64_MIN;
	bool negative = false;

	p += *p == '-';
	whole = skip_digits(p, end) - p;
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
	    !number_fits(s->p, p))
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
	s->ntokens++;
	return true;
}

static int
hex_digit(byte c)
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
		int digit = hex_digit(p[i]);

		if (digit < 0)
			return -1;
		v = v * 16 + digit;
	}
	return v;
}

/*
 * The character of the \u escape at *p, and *p moved behind it; two escapes
 * can be one character.  -1, and *p stays, for half a pair.
 */
static long
unicode_escape(const byte **p, const byte *end)
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

/* The character an escape's letter stands for, 0: no such escape. */
static char
short_escape(byte c)
{
	static const char letters[] = "\"\\/bfnrt", chars[] = "\"\\/\b\f\n\r\t";
	const char *at = c != '\0' ? strchr(letters, c) : NULL;

	return at != NULL ? chars[at - letters] : '\0';
}

/* The escape at p; what is behind it, or NULL. */
static const byte *
take_escape(struct scan *s, const byte *p)
{
	const byte *q = p + 1;

	s->escaped = true;
	if (q == s->end) {
		fail_unexpected(s, q);
		return NULL;
	}
	if (*q != 'u') {
		if (short_escape(*q) != '\0')
			return q + 1;
		fail(s, p, "unknown escape");
		return NULL;
	}
	q++;
	for (int i = 0; i < 4; i++, q++)
		if (q == s->end || hex_digit(*q) < 0) {
			fail_unexpected(s, q);
			return NULL;
		}
	if (s->storable) {
		/* the second half of a pair may not have been looked at yet:
		 * then it is malformed, and refused here already */
		q = p;
		switch (unicode_escape(&q, s->end)) {
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

/* The bytes from 0x80 on at p; what is behind them, or NULL. */
static const byte *
take_utf8(struct scan *s, const byte *p)
{
	const byte *q = p;
	size_t n = 1;

	while (q < s->end && *q >= 0x80)
		q++;
	if (utf8_valid((struct view){(const char *)p, (size_t)(q - p)}))
		return q;
	/* which one was it? */
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
/* The high bit of some byte is set if and only if a byte of x is below c; the
 * lowest such bit is exact. */
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

/* A string from p on, where it stops being plain. */
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

/* A string whose opening quote has been taken. */
static inline bool
take_string(struct scan *s)
{
	const byte *p = skip_plain(s->p, s->end);

	s->ntokens++;
	if (p == s->end || *p != '"')
		return take_rest_of_string(s, p);
	s->p = p + 1;
	return true;
}

/* Notes a key; raw is what is between its quotes. */
static bool
keys_add(struct scan *s, struct view raw)
{
	struct keys *keys = s->keys;
	struct key *k;
	size_t n;

	if (keys->n == keys->cap) {
		size_t cap = keys->cap > 0 ? keys->cap * 2 : 64;

		k = realloc(keys->a, cap * sizeof(*k));
		if (k == NULL)
			return fail(s, s->p, "out of memory");
		keys->a = k;
		keys->cap = cap;
	}
	k = &keys->a[keys->n++];
	*k = (struct key){.key = raw, .from = keys->decoded.len};
	k->at = (size_t)((const byte *)raw.p - s->text);
	if (s->escaped) {
		k->key = json_unescape(raw, &keys->decoded, s->e);
		if (k->key.p == NULL) {
			s->e->offset += k->at;
			return false;
		}
	}
	n = k->key.n < sizeof(k->head) ? k->key.n : sizeof(k->head);
	memcpy(&k->head, k->key.p, n);
	if (s->escaped)
		k->key.p = NULL;
	return true;
}

static int
compare_keys(const void *pa, const void *pb)
{
	const struct key *a = pa, *b = pb;

	if (a->head != b->head)
		return a->head < b->head ? -1 : 1;
	if (a->key.n != b->key.n)
		return a->key.n < b->key.n ? -1 : 1;
	return a->key.n > 0 ? memcmp(a->key.p, b->key.p, a->key.n) : 0;
}

/* Few keys are compared each with each, which is faster than sorting. */
#define FEW_KEYS 16

/* Forgets the keys of the object that ends here; are they all different? */
static bool
keys_close(struct scan *s)
{
	struct keys *keys = s->keys;
	size_t first = keys->first[s->depth - 1], n = keys->n - first;
	struct key *a, *x, *y;
	bool few = n <= FEW_KEYS;

	keys->n = first;
	if (n < 2)
		return true;
	a = keys->a + first;
	for (size_t i = 0; i < n; i++)
		if (a[i].key.p == NULL)
			a[i].key.p = keys->decoded.data + a[i].from;
	if (!few)
		qsort(a, n, sizeof(*a), compare_keys);
	for (size_t i = 1; i < n; i++)
		for (size_t j = few ? 0 : i - 1; j < i; j++) {
			x = &a[j];
			y = &a[i];
			if (x->head != y->head || compare_keys(x, y) != 0)
				continue;
			return fail(s,
			    s->text + (x->at > y->at ? x->at : y->at),
			    "duplicate key");
		}
	return true;
}

static bool
take_key(struct scan *s)
{
	const byte *from;

	if (peek(s) != '"')
		return fail_unexpected(s, s->p);
	from = ++s->p;
	s->escaped = false;
	if (!take_string(s))
		return false;
	if (s->keys != NULL &&
	    !keys_add(s,
		(struct view){(const char *)from, (size_t)(s->p - from - 1)}))
		return false;
	if (peek(s) != ':')
		return fail_unexpected(s, s->p);
	s->p++;
	return true;
}

/* An object or array begins here, with c. */
static bool
open_level(struct scan *s, char c)
{
	if (s->depth == s->max_depth)
		return fail(s, s->p, "nested too deep");
	if (s->keys != NULL)
		s->keys->first[s->depth] = s->keys->n;
	s->open[s->depth++] = c;
	s->p++;
	s->ntokens++;
	return true;
}

static bool
close_level(struct scan *s)
{
	if (s->keys != NULL && !keys_close(s))
		return false;
	s->depth--;
	s->p++;
	return true;
}

/*
 * Takes a value, or, of an object or array that is not empty, what comes
 * before its first value: then *whole is false.
 */
static bool
take_value(struct scan *s, bool *whole)
{
	int c = peek(s);

	*whole = true;
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
		s->ntokens++;
		return take_number(s);
	}
}

/* From behind a value to before the next one, or out of all levels. */
static bool
take_next(struct scan *s)
{
	while (s->depth > 0) {
		bool object = s->open[s->depth - 1] == '{';
		int c = peek(s);

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
scan_init(struct scan *s, struct view text, struct json_error *e)
{
	static const byte nothing[1];

	s->text = text.n > 0 ? (const byte *)text.p : nothing;
	s->p = s->text;
	s->end = s->text + text.n;
	s->e = e;
	s->depth = 0;
	s->max_depth = JSON_DEPTH_MAX;
	s->ntokens = 0;
	s->storable = false;
	s->escaped = false;
	s->keys = NULL;
}

/* Makes room for n tokens. */
static jsmntok_t *
room_tokens(struct json_reader *r, size_t n)
{
	jsmntok_t *tokens;

	if (n <= r->cap)
		return r->tokens;
	tokens = realloc(r->tokens, n * sizeof(*tokens));
	if (tokens != NULL) {
		r->tokens = tokens;
		r->cap = n;
	}
	return tokens;
}

static bool
room_members(struct json_reader *r, size_t n)
{
	struct json_member *members;

	if (n <= r->cap_members)
		return true;
	members = realloc(r->members, n * sizeof(*members));
	if (members == NULL)
		return false;
	r->members = members;
	r->cap_members = n;
	return true;
}

static enum json_kind
kind_of(char first)
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

/* The tokens are: the object, then each key, its value, what is in that. */
static void
list_members(struct json_reader *r, const char *text, size_t ntokens)
{
	const jsmntok_t *t = r->tokens, *end = t + ntokens;
	struct json_member *m = r->members;

	for (t++; t < end; m++) {
		const jsmntok_t *key = t++, *value = t++;
		int quote = value->type == JSMN_STRING;
		int from = value->start - quote, to = value->end + quote;

		m->key = (struct view){
		    text + key->start, (size_t)(key->end - key->start)};
		m->value = (struct view){text + from, (size_t)(to - from)};
		m->kind = kind_of(text[from]);
		while (t < end && t->start < to)
			t++;
	}
	r->nmembers = (size_t)(m - r->members);
}

bool
json_read_object(struct json_reader *r, struct view text, struct json_error *e)
{
	struct scan s;
	jsmn_parser parser;
	jsmntok_t *tokens;

	scan_init(&s, text, e);
	r->nmembers = 0;
	/* jsmn counts in int */
	if (text.n > INT_MAX)
		return fail(&s, s.text, "too long");
	if (!take_text(&s))
		return false;
	s.p = s.text;
	if (peek(&s) != '{')
		return fail(&s, s.p, "not an object");
	tokens = room_tokens(r, s.ntokens);
	if (tokens == NULL)
		return fail(&s, s.p, "out of memory");
	jsmn_init(&parser);
	if (jsmn_parse(&parser, text.p, text.n, tokens, (unsigned)s.ntokens) !=
	    (int)s.ntokens)
		return fail(&s, s.p, "not understood");
	if (!room_members(r, (size_t)tokens[0].size))
		return fail(&s, s.p, "out of memory");
	list_members(r, text.p, s.ntokens);
	return true;
}

void
json_reader_release(struct json_reader *r)
{
	free(r->tokens);
	free(r->members);
	*r = (struct json_reader){0};
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
			*to++ = short_escape(p[1]);
			p += 2;
			continue;
		}
		c = unicode_escape(&p, end);
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

bool
json_storable(
    struct view text, size_t depth, bool unique_keys, struct json_error *e)
{
	struct keys keys;
	struct scan s;
	bool ok;

	scan_init(&s, text, e);
	s.max_depth = depth;
	s.storable = true;
	if (!unique_keys)
		return take_text(&s);
	keys.a = NULL;
	keys.n = keys.cap = 0;
	keys.decoded = (struct buf)BUF_INIT;
	s.keys = &keys;
	ok = take_text(&s);
	free(keys.a);
	buf_release(&keys.decoded);
	return ok;
}
