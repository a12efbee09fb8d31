#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/lsn.h"
#include "tap.h"

static const struct {
	uint64_t lsn;
	const char *text;
} known[] = {
    {0, "0/0"},
    {1, "0/1"},
    {0x1a2b3c4, "0/1A2B3C4"},
    {0x10, "0/10"},
    {0xf0000000, "0/F0000000"},
    {0xffffffff, "0/FFFFFFFF"},
    {UINT64_C(0x100000000), "1/0"},
    {UINT64_C(0xabcdef0100000234), "ABCDEF01/234"},
    {UINT64_C(0x8000000000000000), "80000000/0"},
    {UINT64_MAX, "FFFFFFFF/FFFFFFFF"},
};

static const char *const refused[] = {
    "",
    "/",
    "0",
    "0/",
    "/0",
    "00/0",
    "0/00",
    "01/0",
    "0/01",
    "0/a",
    "a/0",
    "0/1a2B",
    "G/1",
    "0/G",
    "0/:",
    "0/@",
    "1/100000000",
    "100000000/1",
    "0/0/0",
    "0//0",
    "0/0 ",
    " 0/0",
    "0 /0",
    "0/-1",
    "-1/0",
    "+1/0",
    "0x1/0",
    "0\\0",
    "11111111111111111111/0",
};

static void
test_known(void)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		struct view wanted = view_of(known[i].text);
		char text[LSN_TEXT_MAX];
		uint64_t lsn = ~known[i].lsn;
		size_t n = lsn_format(text, known[i].lsn);

		is_view((struct view){text, n}, wanted, "format %.*s",
		    VIEW_FMT(wanted));
		ok(text[n] == '\0', "- its NUL");
		is_view(
		    view_of(lsn_text(known[i].lsn).s), wanted, "- lsn_text");
		ok(lsn_parse(wanted, &lsn) && lsn == known[i].lsn, "- parse");
	}
}

static void
test_refused(void)
{
	char *exact = malloc(2);
	uint64_t lsn;

	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		ok(!lsn_parse(view_of(refused[i]), &lsn), "refused: \"%s\"",
		    refused[i]);
	ok(!lsn_parse(VIEW_NULL, &lsn), "refused: null");
	ok(!lsn_parse(VIEW_LIT("0/1\0"), &lsn), "refused: a NUL after it");
	if (exact == NULL)
		abort();
	memcpy(exact, "A/", 2);
	ok(!lsn_parse((struct view){exact, 2}, &lsn) &&
		!lsn_parse((struct view){exact, 1}, &lsn),
	    "refused: halves at the end of the memory");
	free(exact);
}

static void
test_random(void)
{
	const char *seed = getenv("SEED");
	uint64_t z = seed != NULL ? strtoull(seed, NULL, 10)
				  : (uint64_t)time(NULL);
	bool same = true;

	printf("# SEED=%llu\n", (unsigned long long)z);
	for (int i = 0; i < 100000 && same; i++) {
		uint64_t lsn, back;

		z = z * UINT64_C(6364136223846793005) +
		    UINT64_C(1442695040888963407);
		lsn = (z ^ z >> 31) >> (i % 64);
		same = lsn_parse(view_of(lsn_text(lsn).s), &back) &&
		    back == lsn;
	}
	ok(same, "random LSNs are formatted and parsed");
}

int
main(void)
{
	test_known();
	test_refused();
	test_random();
	return done_testing();
}
