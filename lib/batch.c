#include "batch.h"

#include "event_json.h"

bool
batch_add(struct batch *b, const struct event *e)
{
	size_t before = b->text.len;

	if (batch_full(b) && b->events > 0)
		return false;
	event_json_put(&b->text, e);
	if (b->events > 0 && b->text.len > b->max_bytes) {
		b->text.len = before;
		return false;
	}
	if (b->events == 0)
		b->first_id = e->id;
	b->last_id = e->id;
	b->events++;
	return true;
}

void
batch_clear(struct batch *b)
{
	buf_clear(&b->text);
	b->events = 0;
	b->first_id = b->last_id = 0;
}

void
batch_release(struct batch *b)
{
	buf_release(&b->text);
}
