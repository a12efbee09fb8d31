#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/exitcode.h"
#include "base/log.h"
#include "reader/snapshot_seal.h"
#include "tap.h"

/* printf '{"do":"pause"}' | openssl dgst -sha256 -hmac 0123456789abcdef */
#define MAC \
	"ea05815528972c51edef3f6fb00d0b88" \
	"51f1d8514a295b96f6367197317fbe6a"
#define SEALED "{\"mac\":\"" MAC "\",\"do\":\"pause\"}"

static char path[] = "/tmp/philotes-seal.XXXXXX";

/* The exit code of reading a file of n bytes of `fill`, then `end`. */
static int
read_file(struct snapshot_key *k, size_t n, const char *end, mode_t mode)
{
	FILE *f = fopen(path, "w");

	for (size_t i = 0; i < n; i++)
		putc("0123456789abcdef"[i % 16], f);
	fputs(end, f);
	fclose(f);
	chmod(path, mode);
	snapshot_key_release(k);
	return snapshot_key_read(k, path);
}

static void
test_file(struct snapshot_key *k)
{
	ok(snapshot_key_read(k, NULL) == EXIT_DONE && !snapshot_key_given(k),
	    "no file: no key");
	ok(snapshot_key_read(k, "/nosuch/file") == EXIT_CONFIG,
	    "a file that is missing");
	ok(snapshot_key_read(k, "/dev/null") == EXIT_CONFIG, "a device");
	ok(read_file(k, 15, "", 0600) == EXIT_CONFIG, "15 bytes");
	ok(read_file(k, 15, "\n", 0600) == EXIT_CONFIG, "15 and a newline");
	ok(read_file(k, 4097, "", 0600) == EXIT_CONFIG, "4097 bytes");
	ok(read_file(k, 4096, "\n\n", 0600) == EXIT_CONFIG, "two newlines");
	ok(read_file(k, 9999, "", 0600) == EXIT_CONFIG, "many bytes");
	ok(!snapshot_key_given(k), "- which leave no key");
	ok(read_file(k, 4096, "\n", 0600) == EXIT_DONE && k->secret.len == 4096,
	    "4096 bytes and a newline");
	ok(read_file(k, 16, "", 0640) == EXIT_CONFIG, "the group may read it");
	ok(read_file(k, 16, "", 0604) == EXIT_CONFIG, "others may read it");
	ok(read_file(k, 16, "", 0602) == EXIT_CONFIG, "others may write it");
	ok(read_file(k, 16, "\n", 0400) == EXIT_DONE, "the owner alone");
	is_view(buf_view(&k->secret), VIEW_LIT("0123456789abcdef"),
	    "- the newline is not of the key");
	unlink(path);
}

static bool
sealed(const struct snapshot_key *k, const char *content)
{
	return snapshot_sealed(k, view_of(content));
}

static void
test_seal(const struct snapshot_key *k)
{
	struct snapshot_key none = {0};
	struct buf b = BUF_INIT;
	size_t wrong = 0;

	buf_adds(&b, "{\"do\":\"pause\"}");
	snapshot_seal(&none, &b);
	is_view(buf_view(&b), VIEW_LIT("{\"do\":\"pause\"}"),
	    "without a key nothing is sealed");
	ok(sealed(&none, "{}") && sealed(&none, SEALED), "- nor looked at");
	snapshot_seal(k, &b);
	is_view(buf_view(&b), VIEW_LIT(SEALED), "a sealed message");
	ok(sealed(k, SEALED), "- is recognised");
	for (size_t i = 0; i < b.len; i++) {
		b.data[i] ^= 1;
		wrong += !snapshot_sealed(k, buf_view(&b));
		b.data[i] ^= 1;
	}
	ok(wrong == b.len, "- and no other bit pattern");
	wrong = 0;
	for (size_t i = 0; i < b.len; i++)
		wrong += !snapshot_sealed(k, (struct view){b.data, i});
	ok(wrong == b.len, "- nor a part of it");
	ok(!sealed(k, "{\"do\":\"pause\"}") && !sealed(k, "") &&
		!sealed(k, "{}") &&
		!sealed(k, "{\"do\":\"pause\",\"mac\":\"" MAC "\"}"),
	    "a message without a seal at its beginning");
	buf_release(&b);
}

int
main(void)
{
	struct snapshot_key k = {0};
	struct log_kept silent = {.silent = true};

	log_keep(&silent);
	close(mkstemp(path));
	test_file(&k);
	test_seal(&k);
	snapshot_key_release(&k);
	log_kept_release(&silent);
	return done_testing();
}
