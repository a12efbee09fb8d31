#include "json/json_read.h"

#include <string.h>

bool
json_read_object(struct json_reader *r, struct view text, struct json_error *e)
{
	size_t at;

	/* nearly every text is storable: one pass checks all its values */
	r->storable = json_scan_storable(
	    text, JSON_STORE_DEPTH + 2, &r->members, e);
	if (!r->storable && !json_scan(text, &r->members, e))
		return false;
	for (at = 0; strchr(" \t\r\n", text.p[at]) != NULL; at++)
		;
	if (text.p[at] == '{')
		return true;
	*e = (struct json_error){"not an object", at};
	return false;
}

void
json_reader_release(struct json_reader *r)
{
	json_members_release(&r->members);
	*r = (struct json_reader){0};
}
