/*
 * jsmn alone accepts more than JSON: it sees only text that the recogniser
 * (json_scan.h) has let through.
 */
#include "json/history.h"

#include <limits.h>
#include <stdlib.h>

#define JSMN_STATIC
#define JSMN_STRICT
#include <jsmn.h>

#include "base/lsn.h"
#include "base/num.h"

static struct view
token_text(struct view json, const jsmntok_t *t)
{
	return (struct view){json.p + t->start, (size_t)(t->end - t->start)};
}

/* history = [ [timeline,"LSN"], … ], so its tokens are one and three a pair. */
static bool
find(struct view history, const jsmntok_t *t, int n, uint32_t timeline,
    uint64_t *switch_lsn)
{
	uint64_t number;

	for (int i = 1; i + 2 < n; i += 3) {
		if (t[i].type != JSMN_ARRAY || t[i].size != 2 ||
		    t[i + 2].type != JSMN_STRING ||
		    !num_parse_u64(token_text(history, &t[i + 1]), &number))
			return false;
		if (number == timeline)
			return lsn_parse(
			    token_text(history, &t[i + 2]), switch_lsn);
	}
	return false;
}

bool
history_find(struct view history, uint32_t timeline, uint64_t *switch_lsn)
{
	jsmn_parser parser;
	jsmntok_t *tokens;
	bool found;
	int n;

	if (history.n > INT_MAX)
		return false;
	jsmn_init(&parser);
	n = jsmn_parse(&parser, history.p, history.n, NULL, 0);
	tokens = n > 0 ? calloc((size_t)n, sizeof(*tokens)) : NULL;
	if (tokens == NULL)
		return false;
	jsmn_init(&parser);
	jsmn_parse(&parser, history.p, history.n, tokens, (unsigned)n);
	found = find(history, tokens, n, timeline, switch_lsn);
	free(tokens);
	return found;
}
