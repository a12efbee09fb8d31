/*
 * jsmn alone accepts {"a":1,}, tru and raw control bytes, so it only sees text
 * that the recogniser has let through, and gets room for the tokens that were
 * counted there.
 */
#include "json_read.h"

#include <limits.h>
#include <stdlib.h>

#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#include <jsmn.h>

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

static bool
fail(struct json_error *e, size_t offset, const char *reason)
{
	*e = (struct json_error){reason, offset};
	return false;
}

bool
json_read_object(struct json_reader *r, struct view text, struct json_error *e)
{
	size_t ntokens, at = 0;
	jsmn_parser parser;
	jsmntok_t *tokens;

	r->nmembers = 0;
	/* jsmn counts in int */
	if (text.n > INT_MAX)
		return fail(e, 0, "too long");
	/* nearly all are: one pass says it of all values */
	r->storable = json_scan_storable(
	    text, JSON_STORE_DEPTH + 2, &ntokens, e);
	if (!r->storable && !json_scan(text, &ntokens, e))
		return false;
	while (strchr(" \t\r\n", text.p[at]) != NULL)
		at++;
	if (text.p[at] != '{')
		return fail(e, at, "not an object");
	tokens = room_tokens(r, ntokens);
	if (tokens == NULL)
		return fail(e, at, "out of memory");
	jsmn_init(&parser);
	if (jsmn_parse(&parser, text.p, text.n, tokens, (unsigned)ntokens) !=
	    (int)ntokens)
		return fail(e, at, "not understood");
	if (!room_members(r, (size_t)tokens[0].size))
		return fail(e, at, "out of memory");
	list_members(r, text.p, ntokens);
	return true;
}

void
json_reader_release(struct json_reader *r)
{
	free(r->tokens);
	free(r->members);
	*r = (struct json_reader){0};
}
