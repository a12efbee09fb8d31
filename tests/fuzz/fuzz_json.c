/* The scanner of JSON: in text that it accepts it finds the same members as
 * jsmn, and a stricter rule never accepts more than a weaker one. */
#include <stdint.h>
#include <stdlib.h>

#define JSMN_STATIC
#define JSMN_STRICT
#include <jsmn.h>

#include "json/json_escape.h"
#include "json/json_numbers.h"
#include "json/json_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct json_reader reader;

static void
check_member(struct view text, const struct json_member *m)
{
	struct buf scratch = BUF_INIT;
	struct json_error e;

	if (m->key.p < text.p || m->value.n == 0 ||
	    m->value.p < m->key.p + m->key.n ||
	    m->value.p + m->value.n > text.p + text.n)
		abort();
	if (!m->escaped &&
	    (memchr(m->key.p, '\\', m->key.n) != NULL ||
		memchr(m->value.p, '\\', m->value.n) != NULL))
		abort();
	/* a key can be decoded, unless it has a lone surrogate */
	if (json_unescape(m->key, &scratch, &e).p == NULL &&
	    e.offset >= m->key.n)
		abort();
	buf_release(&scratch);
}

/* Is found the text from start on, up to end? */
static void
check_span(struct view text, int start, int end, struct view found)
{
	if (found.p != text.p + start || found.n != (size_t)(end - start))
		abort();
}

static void
check_members(struct view text, const struct json_members *m)
{
	jsmn_parser parser;
	jsmntok_t *tokens, *t, *end;
	int n;

	jsmn_init(&parser);
	n = jsmn_parse(&parser, text.p, text.n, NULL, 0);
	tokens = calloc((size_t)n, sizeof(*tokens));
	if (n < 1 || tokens == NULL)
		abort();
	jsmn_init(&parser);
	if (jsmn_parse(&parser, text.p, text.n, tokens, (unsigned)n) != n ||
	    tokens[0].size != (int)m->n)
		abort();
	end = tokens + n;
	t = tokens + 1;
	for (size_t i = 0; i < m->n; i++) {
		const jsmntok_t *key = t++, *value = t++;
		int quote = value->type == JSMN_STRING;

		check_span(text, key->start, key->end, m->a[i].key);
		check_span(text, value->start - quote, value->end + quote,
		    m->a[i].value);
		while (t < end && t->start < value->end)
			t++;
		check_member(text, &m->a[i]);
	}
	free(tokens);
}

/* Quoting numbers makes another object with as many members, and leaves none to
 * be quoted. */
static void
check_numbers(struct view text, size_t members)
{
	static struct json_reader again;
	struct buf b = BUF_INIT, b2 = BUF_INIT;
	struct json_error e;
	struct view quoted = json_numbers_quote(text, &b);

	if (!json_read_object(&again, quoted, &e) ||
	    again.members.n != members ||
	    json_numbers_quote(quoted, &b2).p != quoted.p)
		abort();
	buf_release(&b);
	buf_release(&b2);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view text = {(const char *)data, size};
	struct json_error e = {NULL, 0}, e2 = {NULL, 0};
	bool object = json_read_object(&reader, text, &e);
	bool plain = json_storable(text, JSON_STORE_DEPTH, false, &e2);
	bool unique = json_storable(text, JSON_STORE_DEPTH, true, &e2);

	if (!object && (e.reason == NULL || e.offset > size))
		abort();
	if (!unique && (e2.reason == NULL || e2.offset > size))
		abort();
	/* with unique keys no more texts are accepted */
	if (unique && !plain)
		abort();
	if (object) {
		check_members(text, &reader.members);
		check_numbers(text, reader.members.n);
	}
	return 0;
}
