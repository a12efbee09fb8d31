#include "base/text.h"

#include <stdint.h>

#include "tap.h"
#include "json/json_escape.h"

static struct buf out;

static struct view
line(struct view text)
{
	buf_clear(&out);
	text_add_line(&out, text);
	return buf_view(&out);
}

static struct view
json(struct view text)
{
	buf_clear(&out);
	text_add_json(&out, text);
	return buf_view(&out);
}

static struct view
encode(char *to, uint32_t c)
{
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	for (size_t i = n; i-- > 1; c >>= 6)
		to[i] = (char)(0x80 | (c & 0x3f));
	to[0] = (char)(n == 1 ? c : (0xf00 >> n & 0xff) | c);
	return (struct view){to, n};
}

/* By the Unicode Character Database: Cc, Zl, Zp and Bidi_Control. */
static bool
is_unsafe(uint32_t c)
{
	static const uint32_t others[] = {0x61c, 0x200e, 0x200f, 0x2028, 0x2029,
	    0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068,
	    0x2069};

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		if (c == others[i])
			return true;
	}
	return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

/* Is the JSON string ASCII where c is unsafe, and does it mean c? */
static bool
is_json_of(struct view got, uint32_t c, struct view encoded)
{
	struct buf scratch = BUF_INIT;
	struct json_error e = {NULL, 0};
	bool good = got.n > 2, ascii = true;

	for (size_t i = 0; i < got.n; i++)
		ascii = ascii && got.p[i] >= 0x20 && got.p[i] < 0x7f;
	got = (struct view){got.p + 1, got.n - 2};
	good = good && (!is_unsafe(c) || ascii) &&
	    view_eq(json_unescape(got, &scratch, &e), encoded);
	buf_release(&scratch);
	return good;
}

static void
test_every_character(void)
{
	bool lines = true, strings = true;
	unsigned unsafe = 0;
	char bytes[4];

	for (uint32_t c = 0; c < 0x110000; c++) {
		struct view v = encode(bytes, c);

		if (c >= 0xd800 && c < 0xe000)
			continue;
		unsafe += is_unsafe(c);
		lines = lines &&
		    view_eq(line(v), is_unsafe(c) ? VIEW_LIT("?") : v);
		strings = strings && is_json_of(json(v), c, v);
	}
	ok(lines, "every character in a line");
	ok(strings, "every character in JSON");
	ok(unsafe == 65 + 14, "%u are unsafe", unsafe);
}

static void
test_bytes(void)
{
	static const struct {
		const char *text, *line, *json;
	} cases[] = {
	    {"", "", "\"\""},
	    {"\xff", "?", "\"\\ufffd\""},
	    /* C1 as a single byte, alone and in a character's middle */
	    {"\x9b", "?", "\"\\ufffd\""},
	    {"\xc4\x9b", "\xc4\x9b", "\"\xc4\x9b\""},
	    /* cut off, and what follows is read from its beginning */
	    {"\xe2\x80", "??", "\"\\ufffd\\ufffd\""},
	    {"\xe2\xc2\x9b", "??", "\"\\ufffd\\u009b\""},
	    {"\xf0\x9f\x98z", "???z", "\"\\ufffd\\ufffd\\ufffdz\""},
	    /* overlong ESC, a surrogate, beyond the last */
	    {"\xc0\x9b", "??", "\"\\ufffd\\ufffd\""},
	    {"\xed\xa0\x80", "???", "\"\\ufffd\\ufffd\\ufffd\""},
	    {"\xf4\x90\x80\x80", "????", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
	    {"a\"\\\x1b[31m\xe2\x80\xae", "a\"\\?[31m?",
		"\"a\\\"\\\\\\u001b[31m\\u202e\""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct view text = view_of(cases[i].text);

		is_view(
		    line(text), view_of(cases[i].line), "in a line, %zu", i);
		is_view(json(text), view_of(cases[i].json), "in JSON, %zu", i);
	}
	buf_clear(&out);
	buf_adds(&out, "[");
	text_add_json(&out, VIEW_NULL);
	text_add_line(&out, VIEW_LIT("\n"));
	is_view(buf_view(&out), VIEW_LIT("[null?"), "appends; a null view");
}

int
main(void)
{
	test_every_character();
	test_bytes();
	buf_release(&out);
	return done_testing();
}
