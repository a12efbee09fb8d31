#include "batcher/due.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/log.h"

/* Since when we have seen the events after last_id wait. */
struct due_wait {
	struct buf source;
	int64_t last_id;
	int64_t since; /* by clock_ms */
};

static struct due_wait *
find(struct due *d, struct view source)
{
	struct due_wait *w;

	for (size_t i = 0; i < d->n; i++) {
		if (view_eq(buf_view(&d->waits[i].source), source))
			return &d->waits[i];
	}
	w = realloc(d->waits, (d->n + 1) * sizeof(*w));
	if (w == NULL)
		return NULL;
	d->waits = w;
	w += d->n++;
	*w = (struct due_wait){.last_id = -1};
	buf_addv(&w->source, source);
	return w;
}

/*
 * The age of the first event, by the server's clock or by ours, whichever says
 * more.  The server's alone would not do: if it is set back, events that were
 * written before do not age for as long.
 */
static int64_t
age(struct due_wait *w, const struct cursor *c)
{
	int64_t now = clock_ms();

	if (w->last_id != c->last_id) {
		w->last_id = c->last_id;
		w->since = now;
	}
	return now - w->since > c->age_ms ? now - w->since : c->age_ms;
}

int
due_look(
    struct due *d, const struct cursor *c, enum due_what *what, int64_t *in)
{
	struct due_wait *w = find(d, c->source_id);

	if (w == NULL) {
		log_error("could not look at the source: out of memory");
		return EXIT_OS;
	}
	*in = d->flush_interval - age(w, c);
	if (d->at_once || *in <= 0)
		*what = DUE_ALL;
	else if (cursor_waiting(c) >= d->limits->events)
		*what = DUE_FULL;
	else if (c->bytes >= d->limits->bytes)
		*what = DUE_ALL; /* the ledger's bytes are not exact */
	else
		*what = DUE_NOTHING;
	return EXIT_DONE;
}

void
due_release(struct due *d)
{
	for (size_t i = 0; i < d->n; i++)
		buf_release(&d->waits[i].source);
	free(d->waits);
}
