#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/exitcode.h"
#include "base/log.h"
#include "reader/keyspool.h"
#include "tap.h"

/* Adds the key n, which has about `bytes` bytes. */
static int
add(struct keyspool *k, unsigned n, size_t bytes)
{
	struct buf key = BUF_INIT;
	int rc;

	buf_addf(&key, "[\"%u\",\"%0*d\"]", n, (int)bytes, 0);
	rc = keyspool_add(k, buf_view(&key));
	buf_release(&key);
	return rc;
}

/* The numbers of the keys of a batch are those from `first` on: how many? */
static unsigned
numbered(struct buf *keys, unsigned first)
{
	unsigned n = 0, number;
	const char *at = buf_str(keys);

	while (at != NULL && *at != '\0') {
		if (sscanf(at, "[\"%u\"", &number) != 1 || number != first + n)
			return 0;
		n++;
		at = strstr(at, "],[");
		at = at != NULL ? at + 2 : NULL;
	}
	return n;
}

static size_t
files(const char *dir)
{
	DIR *d = opendir(dir);
	size_t n = 0;

	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void
test_memory(void)
{
	struct keyspool k = {0};
	struct buf keys = BUF_INIT;

	ok(keyspool_batch(&k, 100, &keys) == EXIT_DONE && keys.len == 0,
	    "no keys, no batch");
	keyspool_drop(&k);
	keyspool_add(&k, VIEW_LIT("[\"1\"]"));
	keyspool_add(&k, VIEW_LIT("[\"2\"]"));
	keyspool_add(&k, VIEW_LIT("[\"2\"]"));
	keyspool_add(&k, VIEW_LIT("[\"1\"]"));
	ok(keyspool_count(&k) == 3, "the newest is not added again");
	keyspool_batch(&k, 100, &keys);
	is_view(buf_view(&keys), VIEW_LIT("[\"1\"],[\"2\"],[\"1\"]"),
	    "a batch, in order");
	keyspool_add(&k, VIEW_LIT("[\"1\"]"));
	ok(keyspool_count(&k) == 4, "unless it is in a batch");
	keyspool_batch(&k, 13, &keys);
	is_view(buf_view(&keys), VIEW_LIT("[\"1\"],[\"2\"]"),
	    "the same again, with less bytes");
	keyspool_drop(&k);
	keyspool_batch(&k, 1, &keys);
	is_view(buf_view(&keys), VIEW_LIT("[\"1\"]"), "one at least");
	keyspool_drop(&k);
	keyspool_drop(&k);
	ok(keyspool_count(&k) == 1, "a batch is dropped once");
	keyspool_clear(&k);
	ok(keyspool_count(&k) == 0 &&
		keyspool_batch(&k, 100, &keys) == EXIT_DONE && keys.len == 0,
	    "a cleared queue");
	for (unsigned i = 0; i < 1500; i++)
		add(&k, i, 1);
	keyspool_batch(&k, SIZE_MAX / 2, &keys);
	ok(numbered(&keys, 0) == KEYSPOOL_BATCH, "at most 1000 in a batch");
	ok(!k.spilled, "few keys need no file");
	keyspool_release(&k);
	buf_release(&keys);
}

/* Many keys, added and read by turns: all come, once, in order. */
static void
test_file(const char *dir)
{
	struct keyspool k = {0};
	struct buf keys = BUF_INIT;
	unsigned added = 0, read = 0, batches = 0;
	size_t most = 0, left_behind = 0;
	bool spilled = false, good = true;

	for (unsigned round = 0; round < 60; round++) {
		unsigned some = round < 40 ? 200 : 0;
		unsigned n;

		for (unsigned i = 0; i < some; i++)
			good = good && add(&k, added++, 400) == EXIT_DONE;
		most = k.memory.len > most ? k.memory.len : most;
		good = good && keyspool_batch(&k, 64 << 10, &keys) == EXIT_DONE;
		for (unsigned i = 0; i < some; i++)
			good = good && add(&k, added++, 400) == EXIT_DONE;
		n = numbered(&keys, read);
		good = good && n > 100;
		keyspool_drop(&k);
		read += n;
		batches++;
		spilled = spilled || k.spilled;
		left_behind += files(dir);
	}
	while (good && keyspool_count(&k) > 0) {
		unsigned n;

		good = keyspool_batch(&k, 64 << 10, &keys) == EXIT_DONE;
		n = numbered(&keys, read);
		good = good && n > 0;
		keyspool_drop(&k);
		read += n;
		batches++;
	}
	ok(good && read == added && added == 16000,
	    "%u of %u keys come back in order, in %u batches", read, added,
	    batches);
	ok(spilled && !k.spilled, "through a file, which is closed then");
	ok(most <= KEYSPOOL_MEMORY, "%zu bytes in memory", most);
	ok(left_behind == 0, "the file has no name");
	keyspool_release(&k);
	buf_release(&keys);
}

/* A batch in memory may have moved to the file when it is dropped. */
static void
test_moved(void)
{
	struct keyspool k = {0};
	struct buf keys = BUF_INIT;
	unsigned n = 0;

	while (n < 10)
		add(&k, n++, 1);
	keyspool_batch(&k, 1 << 20, &keys);
	while (!k.spilled)
		add(&k, n++, 1000);
	keyspool_drop(&k);
	ok(keyspool_batch(&k, 1 << 20, &keys) == EXIT_DONE &&
		numbered(&keys, 10) > 500,
	    "a batch that has moved to the file is dropped there");
	keyspool_clear(&k);
	add(&k, 1, 3 << 20);
	add(&k, 2, 3 << 20);
	add(&k, 3, 1);
	ok(keyspool_batch(&k, 10, &keys) == EXIT_DONE &&
		numbered(&keys, 1) == 1 && keys.len > 3 << 20,
	    "a key larger than memory or batch");
	keyspool_drop(&k);
	keyspool_batch(&k, 4 << 20, &keys);
	keyspool_drop(&k);
	ok(keyspool_batch(&k, 10, &keys) == EXIT_DONE && numbered(&keys, 3),
	    "and those behind it");
	keyspool_release(&k);
	buf_release(&keys);
}

static void
test_errors(struct log_kept *said)
{
	struct rlimit limit = {3 << 20, 3 << 20};
	struct keyspool k = {0};
	unsigned n = 0;
	int rc = EXIT_DONE;

	setrlimit(RLIMIT_FSIZE, &limit);
	signal(SIGXFSZ, SIG_IGN);
	while (rc == EXIT_DONE && n < 10000)
		rc = add(&k, n++, 1000);
	ok(rc == EXIT_IO && n > 3000, "a file that cannot grow: %d", rc);
	ok(strstr(buf_str(&said->error), "/philotes-keys.") != NULL,
	    "- is named");
	keyspool_clear(&k);
	setenv("TMPDIR", "/nosuch/directory", 1);
	for (rc = EXIT_DONE, n = 0; rc == EXIT_DONE && n < 10000;)
		rc = add(&k, n++, 1000);
	ok(rc == EXIT_IO &&
		strstr(buf_str(&said->error), "\"/nosuch/directory/") != NULL,
	    "a directory that is missing");
	keyspool_release(&k);
}

int
main(void)
{
	struct log_kept said = {.silent = true};
	char dir[] = "/tmp/philotes-test-keys.XXXXXX";

	if (mkdtemp(dir) == NULL || setenv("TMPDIR", dir, 1) != 0)
		return 1;
	log_keep(&said);
	test_memory();
	test_file(dir);
	test_moved();
	rmdir(dir);
	setenv("TMPDIR", "/tmp", 1);
	test_errors(&said);
	log_kept_release(&said);
	return done_testing();
}
