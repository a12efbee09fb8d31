/*
 * jsmn alone accepts more than JSON, so it sees only text that json_scan has
 * accepted.
 */
#include "json/json_small.h"

#include <limits.h>
#include <stdlib.h>

#define JSMN_STATIC
#define JSMN_STRICT
#include <jsmn.h>

#include "json/json_escape.h"

static enum json_kind
kind_of(const jsmntok_t *t, char first)
{
	switch (t->type) {
	case JSMN_OBJECT:
		return JSON_OBJECT;
	case JSMN_ARRAY:
		return JSON_ARRAY;
	case JSMN_STRING:
		return JSON_STRING;
	default:
		return first == 'n'                ? JSON_NULL
		    : first == 't' || first == 'f' ? JSON_BOOL
						   : JSON_NUMBER;
	}
}

static bool
take_tokens(
    struct json_small *d, struct view text, const jsmntok_t *t, size_t n)
{
	d->tokens = calloc(n, sizeof(*d->tokens));
	if (d->tokens == NULL)
		return false;
	for (d->n = 0; d->n < n; d->n++) {
		const jsmntok_t *from = &t[d->n];
		struct view v = {
		    text.p + from->start, (size_t)(from->end - from->start)};

		d->tokens[d->n] = (struct json_token){
		    kind_of(from, v.n > 0 ? v.p[0] : '\0'), v,
		    (size_t)from->size};
	}
	return true;
}

bool
json_small_read(struct json_small *d, struct view text)
{
	struct json_error ignored;
	jsmn_parser parser;
	jsmntok_t *tokens;
	bool taken;
	int n;

	*d = (struct json_small){0};
	if (text.n > INT_MAX || !json_scan(text, NULL, &ignored))
		return false;
	jsmn_init(&parser);
	n = jsmn_parse(&parser, text.p, text.n, NULL, 0);
	tokens = n > 0 ? calloc((size_t)n, sizeof(*tokens)) : NULL;
	if (tokens == NULL)
		return false;
	jsmn_init(&parser);
	jsmn_parse(&parser, text.p, text.n, tokens, (unsigned)n);
	taken = take_tokens(d, text, tokens, (size_t)n);
	free(tokens);
	return taken;
}

size_t
json_small_next(const struct json_small *d, size_t i)
{
	size_t values = d->tokens[i].n;

	if (d->tokens[i].kind == JSON_OBJECT)
		values *= 2;
	else if (d->tokens[i].kind != JSON_ARRAY)
		values = 0;
	for (i++; values > 0; values--)
		i = json_small_next(d, i);
	return i;
}

size_t
json_small_member(const struct json_small *d, size_t i, struct view key)
{
	size_t at = i + 1;

	for (size_t n = d->tokens[i].n; n > 0; n--) {
		if (view_eq(d->tokens[at].text, key))
			return at + 1;
		at = json_small_next(d, at + 1);
	}
	return 0;
}

bool
json_small_text(const struct json_token *t, struct buf *to)
{
	struct json_error ignored;
	struct view v;

	buf_clear(to);
	buf_reserve(to, t->text.n + 1);
	v = json_unescape(t->text, to, &ignored);
	if (v.p == t->text.p)
		buf_addv(to, v);
	return v.p != NULL && !to->failed;
}

void
json_small_release(struct json_small *d)
{
	free(d->tokens);
	*d = (struct json_small){0};
}
