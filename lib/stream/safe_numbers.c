#include "stream/safe_numbers.h"

#include "json/json_numbers.h"

bool
safe_numbers_apply(struct safe_numbers *s, struct event *e)
{
	if (!s->on)
		return true;
	e->before_data = json_numbers_quote(e->before_data, &s->before);
	e->after_data = json_numbers_quote(e->after_data, &s->after);
	return !s->before.failed && !s->after.failed;
}

void
safe_numbers_release(struct safe_numbers *s)
{
	buf_release(&s->before);
	buf_release(&s->after);
}
