#include <stdint.h>
#include <stdio.h>

#include "base/json_write.h"
#include "base/utf8.h"
#include "tap.h"
#include "json/json_escape.h"
#include "json/json_read.h"

static struct buf out;

static struct view
written(struct view s)
{
	buf_clear(&out);
	json_write_string(&out, s);
	return buf_view(&out);
}

static void
test_strings(void)
{
	is_view(written(VIEW_NULL), VIEW_LIT("null"), "a null view");
	is_view(written(VIEW_LIT("")), VIEW_LIT("\"\""), "an empty string");
	is_view(written(VIEW_LIT("plain text, longer than a word")),
	    VIEW_LIT("\"plain text, longer than a word\""), "plain text");
	is_view(written(VIEW_LIT("\b\f\n\r\t\"\\")),
	    VIEW_LIT("\"\\b\\f\\n\\r\\t\\\"\\\\\""), "the short forms");
	is_view(written(VIEW_LIT("\0\1\7\v\16\17\20\37")),
	    VIEW_LIT("\"\\u0000\\u0001\\u0007\\u000b\\u000e\\u000f\\u0010"
		     "\\u001f\""),
	    "the other control characters");
	is_view(
	    written(VIEW_LIT("/ \177 \303\244 \342\202\254 \360\237\230\200")),
	    VIEW_LIT("\"/ \177 \303\244 \342\202\254 \360\237\230\200\""),
	    "slash, DEL and UTF-8 as they are");
	is_view(written(VIEW_LIT("\\.\n\\N\t\r")),
	    VIEW_LIT("\"\\\\.\\n\\\\N\\t\\r\""), "what COPY would escape");
	buf_clear(&out);
	buf_addc(&out, '[');
	json_write_string(&out, VIEW_LIT("a"));
	is_view(buf_view(&out), VIEW_LIT("[\"a\""), "appends");
}

/* The expected output for a byte. */
static size_t
expect_byte(char *to, unsigned c)
{
	static const char shorts[] = "\bb\ff\nn\rr\tt\"\"\\\\";

	for (size_t i = 0; i + 1 < sizeof(shorts); i += 2)
		if (c == (unsigned char)shorts[i])
			return (size_t)sprintf(to, "\\%c", shorts[i + 1]);
	if (c < 0x20)
		return (size_t)sprintf(to, "\\u%04x", c);
	*to = (char)c;
	return 1;
}

/* Every byte at every place of a text longer than two machine words. */
static void
test_every_byte(void)
{
	char in[19], wanted[30];
	size_t n;
	bool good = true;

	for (unsigned c = 0; c < 256; c++)
		for (size_t at = 0; at < sizeof(in); at++) {
			memset(in, 'x', sizeof(in));
			in[at] = (char)c;
			wanted[0] = '"';
			memset(wanted + 1, 'x', at);
			n = 1 + at;
			n += expect_byte(wanted + n, c);
			memset(wanted + n, 'x', sizeof(in) - at - 1);
			n += sizeof(in) - at - 1;
			wanted[n++] = '"';
			good &= view_eq(written((struct view){in, sizeof(in)}),
			    (struct view){wanted, n});
		}
	ok(good, "every byte at every place");
}

/* What was written is read back unchanged. */
static void
test_round_trip(void)
{
	struct buf text = BUF_INIT, scratch = BUF_INIT;
	struct json_reader r = {0};
	struct json_error e;
	struct view v;
	char in[2];
	bool good = true;

	for (unsigned c = 0; c < 128 * 128 && good; c++) {
		in[0] = (char)(c & 127);
		in[1] = (char)(c >> 7);
		buf_clear(&text);
		buf_clear(&scratch);
		buf_adds(&text, "{");
		json_write_string(&text, (struct view){in, 2});
		buf_adds(&text, ":1}");
		good = json_read_object(&r, buf_view(&text), &e);
		v = good ? json_unescape(r.members.a[0].key, &scratch, &e)
			 : VIEW_NULL;
		good = view_eq(v, (struct view){in, 2});
	}
	ok(good, "every pair of ASCII characters is read back");
	json_reader_release(&r);
	buf_release(&scratch);
	buf_release(&text);
}

static void
test_failure(void)
{
	buf_clear(&out);
	buf_reserve(&out, SIZE_MAX - 100);
	json_write_string(&out, VIEW_LIT("a\nb"));
	json_write_string(&out, VIEW_NULL);
	ok(out.failed && out.len == 0, "nothing is written after a failure");
}

static const struct {
	struct view text;
	bool valid;
	const char *name;
} utf8[] = {
    {{"", 0}, true, "nothing"},
    {{"ASCII \0 \177", 9}, true, "ASCII with NUL and DEL"},
    {{"\302\200", 2}, true, "U+0080, the least of two bytes"},
    {{"\337\277", 2}, true, "U+07FF"},
    {{"\340\240\200", 3}, true, "U+0800, the least of three"},
    {{"\355\237\277", 3}, true, "U+D7FF, before the surrogates"},
    {{"\356\200\200", 3}, true, "U+E000, after the surrogates"},
    {{"\357\273\277", 3}, true, "U+FEFF"},
    {{"\357\277\277", 3}, true, "U+FFFF"},
    {{"\360\220\200\200", 4}, true, "U+10000, the least of four"},
    {{"\364\217\277\277", 4}, true, "U+10FFFF, the last"},
    {{"\200", 1}, false, "a continuation alone"},
    {{"\277", 1}, false, "the last continuation alone"},
    {{"\300\200", 2}, false, "NUL in two bytes"},
    {{"\301\277", 2}, false, "U+007F in two bytes"},
    {{"\340\200\200", 3}, false, "NUL in three bytes"},
    {{"\340\237\277", 3}, false, "U+07FF in three bytes"},
    {{"\360\217\277\277", 4}, false, "U+FFFF in four bytes"},
    {{"\355\240\200", 3}, false, "U+D800"},
    {{"\355\277\277", 3}, false, "U+DFFF"},
    {{"\364\220\200\200", 4}, false, "U+110000"},
    {{"\365\200\200\200", 4}, false, "a first byte F5"},
    {{"\370\210\200\200\200", 5}, false, "five bytes"},
    {{"\376", 1}, false, "FE"},
    {{"\377", 1}, false, "FF"},
    {{"\303", 1}, false, "the first of two"},
    {{"\342\202", 2}, false, "the first two of three"},
    {{"\360\237\230", 3}, false, "the first three of four"},
    {{"\303x", 2}, false, "ASCII for the second byte"},
    {{"\342\202x", 3}, false, "ASCII for the third byte"},
    {{"\360\237\230x", 4}, false, "ASCII for the fourth byte"},
    {{"\342\202\300", 3}, false, "a first byte for the third"},
    {{"\303\244\244", 3}, false, "one continuation too many"},
};

static void
test_utf8(void)
{
	char text[32];

	for (size_t i = 0; i < sizeof(utf8) / sizeof(*utf8); i++) {
		struct view v = utf8[i].text;
		bool good = true;

		for (size_t at = 0; at + v.n <= sizeof(text); at++) {
			memset(text, 'x', sizeof(text));
			memcpy(text + at, v.p, v.n);
			good &= utf8_valid((struct view){text, sizeof(text)}) ==
			    utf8[i].valid;
		}
		ok(utf8_valid(v) == utf8[i].valid && good, "UTF-8: %s",
		    utf8[i].name);
	}
}

static void
test_clip(void)
{
	is_view(utf8_clip(VIEW_LIT("abc"), 3), VIEW_LIT("abc"), "not longer");
	is_view(utf8_clip(VIEW_LIT("abc"), 2), VIEW_LIT("ab"), "longer");
	is_view(utf8_clip(VIEW_LIT("a\303\251b"), 2), VIEW_LIT("a"),
	    "a character is not cut");
	is_view(utf8_clip(VIEW_LIT("a\303\251b"), 3), VIEW_LIT("a\303\251"),
	    "nor left out");
	is_view(utf8_clip(VIEW_LIT("\360\237\230\200"), 3), VIEW_LIT(""),
	    "the first one");
	is_view(utf8_clip(VIEW_NULL, 3), VIEW_NULL, "null stays null");
}

int
main(void)
{
	test_strings();
	test_every_byte();
	test_round_trip();
	test_failure();
	test_utf8();
	buf_release(&out);
	test_clip();
	return done_testing();
}
