#include "batcher/when.h"

#include "base/clock.h"
#include "base/num.h"

#define DAY_US INT64_C(86400000000)

/* Accepts abbreviated times: no zone, no seconds, date only. */
static bool
parse_date(const char *text, int64_t *t)
{
	static const char *const rests[] = {
	    "", "Z", ":00", ":00Z", ":00:00Z", "T00:00:00Z"};
	struct buf b = BUF_INIT;
	bool ok = false;

	for (size_t i = 0; !ok && i < sizeof(rests) / sizeof(*rests); i++) {
		buf_clear(&b);
		buf_adds(&b, text);
		buf_adds(&b, rests[i]);
		ok = clock_parse_pg(buf_view(&b), t);
	}
	buf_release(&b);
	return ok;
}

/* Takes the first word, and the spaces before it, off s.  Empty at the end. */
static struct view
take_word(struct view *s)
{
	struct view word;

	while (s->n > 0 && s->p[0] == ' ')
		*s = (struct view){s->p + 1, s->n - 1};
	word = (struct view){s->p, 0};
	while (word.n < s->n && word.p[word.n] != ' ')
		word.n++;
	*s = (struct view){s->p + word.n, s->n - word.n};
	return word;
}

/* Takes the number at the beginning of the word off it, if there is one. */
static struct view
take_number(struct view *word)
{
	struct view number = {word->p, 0};

	while (number.n < word->n &&
	    ((word->p[number.n] >= '0' && word->p[number.n] <= '9') ||
		word->p[number.n] == '.'))
		number.n++;
	*word = (struct view){word->p + number.n, word->n - number.n};
	return number;
}

/* The word's unit, as a duration has it; 0: it is no unit. */
static char
unit_of(struct view word)
{
	static const char *const names[] = {"s", "sec", "second", "m", "min",
	    "minute", "h", "hr", "hour", "d", "day", "w", "week"};

	/* a plural; but "ms" is none */
	if (word.n > 2 && word.p[word.n - 1] == 's')
		word.n--;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (view_eq(word, view_of(names[i])))
			return names[i][0];
	}
	return 0;
}

/*
 * Appends a word in the form of num.h: "2h" for 2hours, "h" for hours, "2" for
 * 2 and "1" for an.  The last two set *number: the next word must be a unit.
 */
static bool
add_word(struct buf *b, struct view word, bool *number)
{
	struct view rest = word, digits = take_number(&rest);
	int64_t ms;

	if (!*number && rest.n > 0 && num_parse_duration(word, &ms)) {
		buf_addv(b, word);
		return true;
	}
	if (!*number) {
		if (view_eq(word, VIEW_LIT("a")) ||
		    view_eq(word, VIEW_LIT("an"))) {
			digits = VIEW_LIT("1");
			rest.n = 0;
		}
		buf_addv(b, digits);
		*number = digits.n > 0 && rest.n == 0;
		if (*number || digits.n == 0)
			return *number;
		word = rest;
	}
	*number = false;
	buf_addc(b, unit_of(word));
	return unit_of(word) != 0;
}

/* Appends all words, as a duration of num.h: "1h30m". */
static bool
add_words(struct buf *b, struct view s)
{
	bool number = false;

	for (struct view w = take_word(&s); w.n > 0; w = take_word(&s)) {
		if (!add_word(b, w, &number))
			return false;
	}
	return !number;
}

static bool
parse_span(struct view s, int64_t *ms)
{
	struct buf b = BUF_INIT;
	bool ok = add_words(&b, s) && num_parse_duration(buf_view(&b), ms);

	buf_release(&b);
	return ok;
}

/* Takes the "-" of "-1h" or the " ago" of "2 hours ago" off s. */
static bool
take_past(struct view *s)
{
	static const struct view ago = {" ago", 4};

	if (s->n > 0 && s->p[0] == '-') {
		*s = (struct view){s->p + 1, s->n - 1};
		return true;
	}
	if (s->n < ago.n ||
	    !view_eq((struct view){s->p + s->n - ago.n, ago.n}, ago))
		return false;
	s->n -= ago.n;
	return true;
}

static bool
parse_relative(struct view s, int64_t now, int64_t *t)
{
	int64_t midnight = now - (now % DAY_US + DAY_US) % DAY_US, ms;

	if (view_eq(s, VIEW_LIT("now")))
		*t = now;
	else if (view_eq(s, VIEW_LIT("today")))
		*t = midnight;
	else if (view_eq(s, VIEW_LIT("yesterday")))
		*t = midnight - DAY_US;
	else if (take_past(&s) && parse_span(s, &ms))
		*t = now - ms * 1000;
	else
		return false;
	return true;
}

bool
when_parse(const char *text, int64_t now, int64_t *t)
{
	struct buf lower = BUF_INIT;
	bool ok;

	if (parse_date(text, t))
		return true;
	for (const char *p = text; *p != '\0'; p++)
		buf_addc(&lower,
		    *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p);
	ok = !lower.failed && parse_relative(buf_view(&lower), now, t);
	buf_release(&lower);
	return ok;
}
