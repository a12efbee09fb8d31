#include "writer/splits.h"

#include <stdlib.h>

bool
splits_add(struct splits *s, size_t at, uint64_t rows, struct view text)
{
	size_t room = s->room > 0 ? 2 * s->room : 16;
	struct split *a;

	if (s->n == s->room) {
		a = realloc(s->a, room * sizeof(*a));
		if (a == NULL)
			return false;
		s->a = a;
		s->room = room;
	}
	buf_addv(&s->text, text);
	s->a[s->n++] = (struct split){at, rows, text.n};
	return !s->text.failed;
}

void
splits_take(struct splits *s, struct buf *text)
{
	size_t len = s->a[0].len;

	buf_clear(text);
	buf_add(text, s->text.data, len);
	buf_consume(&s->text, len);
	s->n--;
	memmove(s->a, s->a + 1, s->n * sizeof(*s->a));
}

void
splits_shift(struct splits *s, size_t bytes, uint64_t rows)
{
	for (size_t i = 0; i < s->n; i++) {
		s->a[i].at -= bytes;
		s->a[i].rows -= rows;
	}
}

void
splits_drop(struct splits *s, size_t at)
{
	while (s->n > 0 && s->a[s->n - 1].at >= at)
		s->text.len -= s->a[--s->n].len;
}

void
splits_release(struct splits *s)
{
	free(s->a);
	buf_release(&s->text);
}
