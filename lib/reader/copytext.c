#include "reader/copytext.h"

#include "base/utf8.h"

static char
unescape(char letter)
{
	static const char letters[] = "bfnrtv\\", bytes[] = "\b\f\n\r\t\v\\";
	const char *at = memchr(letters, letter, sizeof(letters) - 1);

	return at != NULL ? bytes[at - letters] : '\0';
}

/* Decodes the escapes of one field; returns its new end, or NULL. */
static char *
decode(char *from, char *end)
{
	char *to = memchr(from, '\\', (size_t)(end - from));

	if (to == NULL)
		return end;
	for (from = to; from < end; from++, to++) {
		*to = *from;
		if (*from != '\\')
			continue;
		if (++from == end || (*to = unescape(*from)) == '\0')
			return NULL;
	}
	return to;
}

static bool
read_field(char *from, char *end, struct field *f, const char **reason)
{
	char *decoded;

	*f = (struct field){.kind = 'n'};
	if (end - from == 2 && from[0] == '\\' && from[1] == 'N')
		return true;
	decoded = decode(from, end);
	if (decoded == NULL) {
		*reason = "unknown escape";
		return false;
	}
	f->kind = 't';
	f->text = (struct view){from, (size_t)(decoded - from)};
	*reason = "a value is not UTF-8";
	return utf8_valid(f->text);
}

bool
copytext_read(
    char *row, size_t len, size_t n, struct tuple *t, const char **reason)
{
	char *end = row + len, *tab;

	*reason = "out of memory";
	if (!tuple_reserve(t, n))
		return false;
	t->role = 'N';
	t->notes = 0;
	t->n = n;
	*reason = "it does not end with a newline";
	if (len == 0 || *--end != '\n')
		return false;
	*reason = "it has not as many columns as its table";
	for (size_t i = 0; i < n; i++, row = tab + 1) {
		if (row > end)
			return false;
		tab = memchr(row, '\t', (size_t)(end - row));
		if (tab == NULL)
			tab = end;
		if (!read_field(row, tab, &t->fields[i], reason))
			return false;
		*reason = "it has not as many columns as its table";
	}
	/* a table without columns has empty rows */
	return row > end || (n == 0 && row == end);
}
