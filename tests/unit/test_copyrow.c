#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../fuzz/same.h"
#include "buffer/copyrow.h"
#include "tap.h"

static void
add_be(struct buf *b, uint64_t v, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		buf_addc(b, (char)(v >> (8 * (bytes - 1 - i))));
}

/* Appends a row of COPY OUT, made of one of COPY IN: the id before it,
 * created_at after it. */
static void
add_stored(struct buf *b, struct view row, int64_t id, int64_t created_at)
{
	add_be(b, 15, 2);
	add_be(b, 8, 4);
	add_be(b, (uint64_t)id, 8);
	buf_add(b, row.p + 2, row.n - 2);
	add_be(b, 8, 4);
	add_be(b, (uint64_t)created_at, 8);
}

static enum copyrow_status
get(struct view message, bool first, struct event *e)
{
	static char *exact;

	free(exact);
	exact = malloc(message.n > 0 ? message.n : 1);
	if (exact == NULL)
		abort();
	memcpy(exact, message.p, message.n);
	return copyrow_get((struct view){exact, message.n}, first, e);
}

static struct event
small_event(void)
{
	return (struct event){
	    .source_id = VIEW_LIT("s"),
	    .schema_name = VIEW_LIT(""),
	    .table_name = VIEW_LIT("t\377"),
	    .operation = VIEW_LIT("INSERT"),
	    .lsn = VIEW_LIT("0/1"),
	    .transaction_id = 0x0102030405060708,
	    .has_transaction_id = true,
	    .commit_lsn = UINT64_C(0xfffefdfcfbfaf9f8),
	    .seq = 3,
	    .after_data = VIEW_LIT("{}"),
	    .event_time = -2,
	};
}

/* Every byte is as the PostgreSQL manual describes it. */
static void
test_bytes(void)
{
	struct buf b = BUF_INIT;
	struct event small = small_event(), bare = small;

	copyrow_put_header(&b);
	is_view(buf_view(&b),
	    VIEW_LIT("PGCOPY\n\377\r\n\0"
		     "\0\0\0\0"
		     "\0\0\0\0"),
	    "the header");
	buf_clear(&b);
	copyrow_put(&b, &small);
	is_view(buf_view(&b),
	    VIEW_LIT("\0\15"
		     "\0\0\0\1s"
		     "\0\0\0\0"
		     "\0\0\0\2t\377"
		     "\0\0\0\6INSERT"
		     "\0\0\0\0030/1"
		     "\0\0\0\10\1\2\3\4\5\6\7\10"
		     "\0\0\0\10\377\376\375\374\373\372\371\370"
		     "\0\0\0\10\0\0\0\0\0\0\0\3"
		     "\377\377\377\377"
		     "\377\377\377\377"
		     "\0\0\0\2{}"
		     "\0\0\0\10\377\377\377\377\377\377\377\376"
		     "\377\377\377\377"),
	    "a row");
	buf_clear(&b);
	bare.has_transaction_id = false;
	bare.seq = 0;
	copyrow_put(&b, &bare);
	is_view((struct view){b.data + 2 + 5 + 4 + 6 + 10 + 7, 16},
	    VIEW_LIT("\377\377\377\377\377\377\377\377\377\377\377\377\377\377"
		     "\377\377"),
	    "without transaction and identity these fields are null");
	buf_clear(&b);
	copyrow_put_trailer(&b);
	is_view(buf_view(&b), VIEW_LIT("\377\377"), "the trailer");
	buf_release(&b);
}

static uint64_t state;

static uint64_t
rnd(uint64_t below)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

static struct view
random_view(const struct buf *bytes, bool nullable)
{
	size_t n = rnd(10) == 0 ? rnd(bytes->len) : rnd(20);

	if (nullable && rnd(3) == 0)
		return VIEW_NULL;
	return (struct view){bytes->data + rnd(bytes->len - n + 1), n};
}

static struct event
random_event(const struct buf *bytes)
{
	struct event e = {
	    .id = 1 + (int64_t)rnd(INT64_MAX),
	    .source_id = random_view(bytes, false),
	    .schema_name = random_view(bytes, false),
	    .table_name = random_view(bytes, false),
	    .operation = random_view(bytes, false),
	    .lsn = random_view(bytes, false),
	    .has_transaction_id = rnd(3) > 0,
	    .key_columns = random_view(bytes, true),
	    .before_data = random_view(bytes, true),
	    .after_data = random_view(bytes, true),
	    .metadata = random_view(bytes, true),
	    .event_time = (int64_t)rnd(UINT64_MAX),
	    .created_at = (int64_t)rnd(UINT64_MAX),
	};

	if (e.has_transaction_id)
		e.transaction_id = (int64_t)rnd(INT64_MAX);
	if (rnd(3) > 0) {
		e.commit_lsn = rnd(UINT64_MAX);
		e.seq = 1 + rnd(INT64_MAX);
	}
	return e;
}

static void
test_inverse(void)
{
	struct buf bytes = BUF_INIT, row = BUF_INIT, message = BUF_INIT;
	bool good = true;

	for (int i = 0; i < 4096; i++)
		buf_addc(&bytes, (char)rnd(256));
	for (int i = 0; i < 20000 && good; i++) {
		struct event e = random_event(&bytes), back;
		bool first = rnd(2) == 0;

		buf_clear(&row);
		copyrow_put(&row, &e);
		buf_clear(&message);
		if (first)
			copyrow_put_header(&message);
		add_stored(&message, buf_view(&row), e.id, e.created_at);
		good = get(buf_view(&message), first, &back) == COPYROW_EVENT &&
		    same_event(&e, &back);
	}
	ok(good, "get is the inverse of put for random events");
	buf_release(&bytes);
	buf_release(&row);
	buf_release(&message);
}

static bool
all_cuts_bad(struct view message, bool first)
{
	struct event e;

	for (size_t n = 0; n < message.n; n++)
		if (get((struct view){message.p, n}, first, &e) != COPYROW_BAD)
			return false;
	return true;
}

static void
test_cut(void)
{
	struct buf row = BUF_INIT, b = BUF_INIT;
	struct event small = small_event(), e;

	copyrow_put(&row, &small);
	add_stored(&b, buf_view(&row), 9, 10);
	ok(get(buf_view(&b), false, &e) == COPYROW_EVENT && e.id == 9 &&
		e.created_at == 10,
	    "a row");
	ok(all_cuts_bad(buf_view(&b), false), "- cut anywhere it is bad");

	buf_clear(&b);
	copyrow_put_header(&b);
	add_stored(&b, buf_view(&row), 9, 10);
	ok(get(buf_view(&b), true, &e) == COPYROW_EVENT, "the first row");
	ok(all_cuts_bad(buf_view(&b), true), "- cut anywhere it is bad");
	ok(get(buf_view(&b), false, &e) == COPYROW_BAD,
	    "bad: a header before another row");

	buf_clear(&b);
	copyrow_put_trailer(&b);
	ok(get(buf_view(&b), false, &e) == COPYROW_END, "the trailer");
	ok(all_cuts_bad(buf_view(&b), false), "- cut anywhere it is bad");
	buf_clear(&b);
	copyrow_put_header(&b);
	copyrow_put_trailer(&b);
	ok(get(buf_view(&b), true, &e) == COPYROW_END, "no rows");
	ok(all_cuts_bad(buf_view(&b), true), "- cut anywhere it is bad");
	buf_release(&row);
	buf_release(&b);
}

/* Offsets of small's fields in a row of COPY OUT. */
#define AT_COUNT       0
#define AT_ID          2
#define AT_SOURCE      14
#define AT_TRANSACTION (AT_SOURCE + 5 + 4 + 6 + 10 + 7)
#define AT_SEQ         (AT_TRANSACTION + 24)
#define AT_BEFORE      (AT_SEQ + 16)
#define AT_TIME        (AT_BEFORE + 4 + 6)
#define AT_CREATED     (AT_TIME + 12 + 4)

static const struct {
	const char *name;
	size_t at;
	uint32_t value; /* written there */
	size_t bytes;
} damage[] = {
    {"14 fields", AT_COUNT, 14, 2},
    {"16 fields", AT_COUNT, 16, 2},
    {"0 fields", AT_COUNT, 0, 2},
    {"-2 fields", AT_COUNT, 0xfffe, 2},
    {"source_id of length -2", AT_SOURCE, 0xfffffffe, 4},
    {"source_id of 2^31 - 1", AT_SOURCE, 0x7fffffff, 4},
    {"source_id of 2^31", AT_SOURCE, 0x80000000, 4},
    {"before_data beyond the message", AT_BEFORE, 40, 4},
};

static void
test_damage(void)
{
	struct buf row = BUF_INIT, b = BUF_INIT;
	struct event small = small_event(), e;

	copyrow_put(&row, &small);
	for (size_t i = 0; i < sizeof(damage) / sizeof(*damage); i++) {
		buf_clear(&b);
		add_stored(&b, buf_view(&row), 9, 10);
		b.len = damage[i].at;
		add_be(&b, damage[i].value, damage[i].bytes);
		b.len = row.len + 24;
		ok(get(buf_view(&b), false, &e) == COPYROW_BAD, "bad: %s",
		    damage[i].name);
	}
	for (size_t i = 0; i < 11; i++) {
		buf_clear(&b);
		copyrow_put_header(&b);
		b.data[i] ^= 0x20;
		add_stored(&b, buf_view(&row), 9, 10);
		ok(get(buf_view(&b), true, &e) == COPYROW_BAD,
		    "bad: byte %zu of the signature", i);
	}
	buf_release(&row);
	buf_release(&b);
}

/* A bigint of another length, everything else valid. */
static const struct {
	const char *name;
	size_t at;
	bool nullable;
} bigints[] = {
    {"id", AT_ID, false},
    {"transaction_id", AT_TRANSACTION, true},
    {"commit_lsn", AT_TRANSACTION + 12, true},
    {"seq", AT_SEQ, true},
    {"event_time", AT_TIME, false},
    {"created_at", AT_CREATED, false},
};

static void
test_bigints(void)
{
	struct buf row = BUF_INIT, whole = BUF_INIT, b = BUF_INIT;
	struct event small = small_event(), e;

	copyrow_put(&row, &small);
	add_stored(&whole, buf_view(&row), 9, 10);
	for (size_t i = 0; i < sizeof(bigints) / sizeof(*bigints); i++)
		/* -1: null */
		for (int n = -1; n <= 16; n++) {
			const char *at = whole.data + bigints[i].at;
			bool good = n == 8 || (n == -1 && bigints[i].nullable);

			buf_clear(&b);
			buf_add(&b, whole.data, bigints[i].at);
			add_be(&b, (uint32_t)n, 4);
			for (int j = 0; j < n; j++)
				buf_addc(&b, at[4 + j % 8]);
			buf_add(&b, at + 12, whole.len - bigints[i].at - 12);
			ok(get(buf_view(&b), false, &e) ==
				(good ? COPYROW_EVENT : COPYROW_BAD),
			    "%s: %s of %d bytes", good ? "good" : "bad",
			    bigints[i].name, n);
		}
	buf_release(&row);
	buf_release(&whole);
	buf_release(&b);
}

/* A message holds one row: bytes after it are an error. */
static void
test_tail(void)
{
	struct buf row = BUF_INIT, b = BUF_INIT;
	struct event small = small_event(), e;

	copyrow_put(&row, &small);
	add_stored(&b, buf_view(&row), 9, 10);
	buf_addc(&b, '\0');
	ok(get(buf_view(&b), false, &e) == COPYROW_BAD,
	    "bad: a byte after the row");
	b.len--;
	add_stored(&b, buf_view(&row), 11, 12);
	ok(get(buf_view(&b), false, &e) == COPYROW_BAD,
	    "bad: a second row after the row");
	buf_clear(&b);
	copyrow_put_trailer(&b);
	add_stored(&b, buf_view(&row), 9, 10);
	ok(get(buf_view(&b), false, &e) == COPYROW_BAD,
	    "bad: a row after the trailer");
	buf_release(&row);
	buf_release(&b);
}

/* PostgreSQL manual: bits 16 to 31 are critical, and a reader should stop at an
 * unknown one; a reader should skip an extension of the header. */
static void
test_flags(void)
{
	struct buf row = BUF_INIT, b = BUF_INIT;
	struct event small = small_event(), e;

	copyrow_put(&row, &small);
	copyrow_put_header(&b);
	b.data[12] = 1;
	add_stored(&b, buf_view(&row), 9, 10);
	ok(get(buf_view(&b), true, &e) == COPYROW_BAD,
	    "bad: bit 16 of the flags (rows have OIDs)");
	buf_clear(&b);
	copyrow_put_header(&b);
	b.data[18] = 127;
	add_stored(&b, buf_view(&row), 9, 10);
	ok(get(buf_view(&b), true, &e) == COPYROW_BAD,
	    "bad: an extension longer than the message");
	buf_release(&row);
	buf_release(&b);
}

int
main(void)
{
	const char *seed = getenv("SEED");

	state = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
	printf("# SEED=%llu\n", (unsigned long long)state);
	test_bytes();
	test_inverse();
	test_cut();
	test_damage();
	test_bigints();
	test_tail();
	test_flags();
	return done_testing();
}
