#include "writer/history.h"

#include "base/lsn.h"
#include "base/num.h"
#include "json/json_small.h"

/* The tokens of [[1,"0/5000000"],…]: the outer array, then three a pair. */
static bool
find_in(const struct json_small *history, uint32_t timeline, uint64_t *lsn)
{
	const struct json_token *t = history->tokens;
	uint64_t number;

	for (size_t i = 1; i + 2 < history->n; i += 3) {
		if (t[i].kind != JSON_ARRAY || t[i].n != 2 ||
		    t[i + 2].kind != JSON_STRING ||
		    !num_parse_u64(t[i + 1].text, &number))
			return false;
		if (number == timeline)
			return lsn_parse(t[i + 2].text, lsn);
	}
	return false;
}

bool
history_find(struct view history, uint32_t timeline, uint64_t *lsn)
{
	struct json_small d;
	bool found;

	if (!json_small_read(&d, history))
		return false;
	found = find_in(&d, timeline, lsn);
	json_small_release(&d);
	return found;
}
