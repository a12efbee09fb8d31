/*
 * list = name (',' name)*       name = part ('.' part)?
 * part = '"' (any except '"' | '""')+ '"' | (any except ',' '.' '"' and space)+
 */
#include "stream/tablelist.h"

#include <stdlib.h>

static void
skip_spaces(const char **at)
{
	while (**at == ' ' || **at == '\t' || **at == '\n')
		++*at;
}

static struct view
quoted_part(struct table_list *l, const char **at)
{
	size_t from = l->text.len;

	for (++*at; **at != '\0'; ++*at) {
		if (**at == '"' && *++*at != '"')
			return (struct view){
			    l->text.data + from, l->text.len - from};
		buf_addc(&l->text, **at);
	}
	return VIEW_NULL;
}

static struct view
plain_part(struct table_list *l, const char **at)
{
	size_t from = l->text.len;

	for (; **at != '\0' && strchr(",.\" \t\n", **at) == NULL; ++*at) {
		bool upper = **at >= 'A' && **at <= 'Z';

		buf_addc(&l->text, upper ? (char)(**at - 'A' + 'a') : **at);
	}
	return (struct view){l->text.data + from, l->text.len - from};
}

static struct view
part(struct table_list *l, const char **at)
{
	skip_spaces(at);
	return **at == '"' ? quoted_part(l, at) : plain_part(l, at);
}

static bool
one_name(struct table_list *l, const char **at)
{
	struct table_name *t = &l->names[l->n];

	t->schema = VIEW_LIT("public");
	t->table = part(l, at);
	if (**at == '.') {
		++*at;
		t->schema = t->table;
		t->table = part(l, at);
	}
	skip_spaces(at);
	l->n++;
	return t->schema.n > 0 && t->table.n > 0;
}

bool
table_list_parse(struct table_list *l, const char *text, const char **reason)
{
	size_t commas = 0;

	*l = (struct table_list){0};
	for (const char *c = text; *c != '\0'; c++)
		commas += *c == ',';
	l->names = calloc(commas + 1, sizeof(*l->names));
	/* names only get shorter, so the text never moves */
	if (l->names == NULL ||
	    buf_reserve(&l->text, strlen(text) + 1) == NULL) {
		*reason = "out of memory";
		return false;
	}
	*reason = "not a list such as orders,sales.\"Line Items\"";
	do {
		if (!one_name(l, &text))
			return false;
	} while (*text == ',' && *++text != '\0');
	return *text == '\0' && text[-1] != ',';
}

void
table_list_release(struct table_list *l)
{
	free(l->names);
	buf_release(&l->text);
	*l = (struct table_list){0};
}
