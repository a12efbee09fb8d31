#include "reader/tuple.h"

#include <stdlib.h>

#include "reader/pgvalue.h"

static void
read_field(struct wire *w, struct field *f)
{
	*f = (struct field){.kind = (char)wire_uint(w, 1)};
	if (f->kind == 'n' || f->kind == 'u')
		return;
	if (f->kind != 't') {
		wire_fail(w, "unknown kind of field");
		return;
	}
	f->text = wire_bytes(w, (size_t)wire_uint(w, 4));
	if (w->reason != NULL)
		return;
	if (!utf8_valid(f->text))
		wire_fail(w, "a value is not UTF-8");
	else if (memchr(f->text.p, '\0', f->text.n) != NULL)
		wire_fail(w, "a value has a NUL byte");
}

bool
tuple_reserve(struct tuple *t, size_t n)
{
	struct field *fields;

	if (n <= t->cap)
		return true;
	fields = realloc(t->fields, n * sizeof(*fields));
	if (fields == NULL)
		return false;
	t->fields = fields;
	t->cap = n;
	return true;
}

void
tuple_read(struct wire *w, struct tuple *t, char role, const struct relation *r)
{
	size_t n = (size_t)wire_uint(w, 2);

	if (w->reason == NULL && n != r->ncolumns)
		wire_fail(w, "a tuple and its relation differ in columns");
	if (w->reason == NULL && !tuple_reserve(t, n)) {
		wire_fail(w, "out of memory");
		return;
	}
	t->role = role;
	t->notes = 0;
	t->n = n;
	for (size_t i = 0; i < n && w->reason == NULL; i++)
		read_field(w, &t->fields[i]);
}

static void
write_field(struct buf *b, const struct column *col, struct field *f)
{
	buf_addv(b, col->json);
	if (f->kind == 'n')
		buf_addv(b, VIEW_LIT("null"));
	else if (pgvalue_write(b, col->type, f->text))
		f->notes |= NOTE_JSON_TEXT;
}

void
tuple_write(struct buf *b, struct tuple *t, const struct relation *r,
    const struct tuple *old)
{
	size_t from = b->len;

	buf_addc(b, '{');
	for (size_t i = 0; i < t->n; i++) {
		const struct column *col = &r->columns[i];
		struct field *f = &t->fields[i];

		if (t->role == 'K' && !col->key)
			continue;
		/* an old key has text in key columns only */
		if (f->kind == 'u' && old != NULL && old->role != 0 &&
		    old->fields[i].kind == 't')
			*f = old->fields[i];
		if (f->kind == 'u') {
			f->notes |= NOTE_UNCHANGED;
		} else {
			if (b->len > from + 1)
				buf_addc(b, ',');
			write_field(b, col, f);
		}
		t->notes |= f->notes;
	}
	buf_addc(b, '}');
}

void
tuple_release(struct tuple *t)
{
	free(t->fields);
	*t = (struct tuple){0};
}
