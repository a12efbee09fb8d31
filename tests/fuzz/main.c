/*
 * Stands in for libFuzzer: runs a driver (LLVMFuzzerTestOneInput in
 * tests/fuzz/fuzz_NAME.c) on its corpus (tests/fuzz/corpus/NAME), then on
 * random changes of it.  A driver aborts when it finds an error.
 *
 *	bin/fuzz/NAME [FILE ...]	FILEs: only these, unchanged
 *
 * SEED and RUNS (inputs to make) come from the environment.
 */
#include <dirent.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../unit/tap.h"
#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUTS_MAX 1000
#define INPUT_MAX  65536 /* bytes of an input that is made */

static struct buf inputs[INPUTS_MAX];
static size_t ninputs;
static uint64_t state;
static struct view current; /* the input of the driver */

static uint64_t
rnd(uint64_t below)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

/* Prints the input, for `printf '...' >file; bin/fuzz/NAME file`. */
static void
on_abort(int sig)
{
	(void)sig;
	printf("# the input, %zu bytes: '", current.n);
	for (size_t i = 0; i < current.n && i < 4096; i++)
		printf("\\%03o", (unsigned)(unsigned char)current.p[i]);
	printf("'\n");
	fflush(stdout);
}

/* Runs a copy in memory of just its size, so that reading past it is detected.
 */
static void
run(struct view input)
{
	uint8_t *exact = malloc(input.n > 0 ? input.n : 1);

	if (exact == NULL)
		abort();
	if (input.n > 0)
		memcpy(exact, input.p, input.n);
	current = input;
	LLVMFuzzerTestOneInput(exact, input.n);
	free(exact);
}

static void
read_input(const char *path)
{
	struct buf *b = &inputs[ninputs];
	FILE *f = fopen(path, "rb");
	char *to;

	if (f == NULL || ninputs == INPUTS_MAX)
		abort();
	do {
		to = buf_reserve(b, 65536);
		if (to == NULL)
			abort();
		b->len += fread(to, 1, 65536, f);
	} while (!feof(f) && !ferror(f));
	fclose(f);
	ninputs++;
}

static void
read_corpus(const char *name)
{
	char path[512];
	struct dirent *d;
	DIR *dir;

	snprintf(path, sizeof(path), "tests/fuzz/corpus/%s", name);
	dir = opendir(path);
	while (dir != NULL && (d = readdir(dir)) != NULL) {
		snprintf(path, sizeof(path), "tests/fuzz/corpus/%s/%s", name,
		    d->d_name);
		if (d->d_name[0] != '.')
			read_input(path);
	}
	if (dir != NULL)
		closedir(dir);
}

/* A random byte; bytes with a meaning are more frequent. */
static char
some_byte(void)
{
	static const char telling[] =
	    "{}[]\",:\\/u0019-+.eEtfn \t\r\n\0\377\200";

	return rnd(2) == 0 ? telling[rnd(sizeof(telling))] : (char)rnd(256);
}

/* Replaces n bytes at `at` by v. */
static void
splice(struct buf *b, size_t at, size_t n, struct view v)
{
	struct buf tail = BUF_INIT;

	/* v may be a part of b */
	buf_addv(&tail, v);
	buf_add(&tail, b->data + at + n, b->len - at - n);
	b->len = at;
	buf_addv(b, buf_view(&tail));
	buf_release(&tail);
}

static void
change(struct buf *b)
{
	const struct buf *other = &inputs[rnd(ninputs)];
	size_t at = rnd(b->len + 1), left = b->len - at;
	size_t n = left > 0 ? rnd(left < 16 ? left + 1 : 16) : 0;
	size_t from = rnd(other->len + 1);
	char c = some_byte();

	switch (rnd(6)) {
	case 0: /* another byte */
		if (left > 0)
			b->data[at] = c;
		break;
	case 1: /* another bit */
		if (left > 0)
			b->data[at] = (char)(b->data[at] ^ 1 << rnd(8));
		break;
	case 2:
		splice(b, at, 0, (struct view){&c, 1});
		break;
	case 3:
		splice(b, at, n, VIEW_LIT(""));
		break;
	case 4: /* the end of another input */
		splice(b, at, left,
		    (struct view){other->data + from, other->len - from});
		break;
	case 5: /* a part twice */
		n = rnd(at + 1);
		splice(b, at, 0, (struct view){b->data + n, rnd(at - n + 1)});
		break;
	}
	if (b->len > INPUT_MAX)
		b->len = INPUT_MAX;
}

static void
run_changed(void)
{
	struct buf b = BUF_INIT;
	const struct buf *from = &inputs[rnd(ninputs)];

	buf_reserve(&b, 1);
	buf_add(&b, from->data, from->len);
	for (uint64_t n = 1 + rnd(4); n > 0; n--)
		change(&b);
	if (b.failed)
		abort();
	run(buf_view(&b));
	buf_release(&b);
}

static uint64_t
from_env(const char *name, uint64_t otherwise)
{
	const char *value = getenv(name);

	return value != NULL ? strtoull(value, NULL, 10) : otherwise;
}

int
main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	const char *name = slash != NULL ? slash + 1 : argv[0];
	uint64_t runs = from_env("RUNS", argc > 1 ? 0 : 50000);

	state = from_env("SEED", (uint64_t)time(NULL));
	printf("# SEED=%llu\n", (unsigned long long)state);
	signal(SIGABRT, on_abort);
	for (int i = 1; i < argc; i++)
		read_input(argv[i]);
	if (argc == 1)
		read_corpus(name);
	ok(ninputs > 0, "%zu inputs of %s", ninputs, name);
	fflush(stdout);
	for (size_t i = 0; i < ninputs; i++)
		run(buf_view(&inputs[i]));
	ok(true, "they pass");
	for (uint64_t i = 0; i < runs && ninputs > 0; i++)
		run_changed();
	ok(true, "%llu made of them pass", (unsigned long long)runs);
	for (size_t i = 0; i < ninputs; i++)
		buf_release(&inputs[i]);
	return done_testing();
}
