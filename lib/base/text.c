#include "base/text.h"

#include <stdint.h>

#include "base/json_write.h"
#include "base/utf8.h"

#define NO_CHARACTER 0xfffd

struct character {
	size_t n; /* bytes */
	uint32_t code;
	bool unsafe;
};

static bool
is_unsafe(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code <= 0x9f) ||
	    code == 0x061c || code == 0x200e || code == 0x200f ||
	    (code >= 0x2028 && code <= 0x202e) ||
	    (code >= 0x2066 && code <= 0x2069);
}

/* The first character of text, which is not empty. */
static struct character
first_character(struct view text)
{
	const unsigned char *p = (const unsigned char *)text.p;
	struct character c = {utf8_length(text), p[0], false};

	if (c.n == 0)
		return (struct character){1, NO_CHARACTER, true};
	if (c.n > 1)
		c.code &= 0x7fu >> c.n;
	for (size_t i = 1; i < c.n; i++)
		c.code = c.code << 6 | (p[i] & 0x3fu);
	c.unsafe = is_unsafe(c.code);
	return c;
}

/* Appends text; `replace` appends the substitute for an unsafe character. */
static void
add(struct buf *b, struct view text, void (*replace)(struct buf *, uint32_t))
{
	while (text.n > 0) {
		struct character c = first_character(text);

		if (c.unsafe)
			replace(b, c.code);
		else
			buf_add(b, text.p, c.n);
		text = (struct view){text.p + c.n, text.n - c.n};
	}
}

static void
put_question(struct buf *b, uint32_t code)
{
	(void)code;
	buf_addc(b, '?');
}

static void
put_escape(struct buf *b, uint32_t code)
{
	buf_addf(b, "\\u%04x", (unsigned)code);
}

void
text_add_line(struct buf *b, struct view text)
{
	add(b, text, put_question);
}

void
text_add_json(struct buf *b, struct view text)
{
	struct buf string = BUF_INIT;

	/* json_write_string leaves the other unsafe characters to add */
	json_write_string(&string, text);
	add(b, buf_view(&string), put_escape);
	b->failed = b->failed || string.failed;
	buf_release(&string);
}
