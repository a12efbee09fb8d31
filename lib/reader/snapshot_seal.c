#include "reader/snapshot_seal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/exitcode.h"
#include "base/log.h"

#define MAC_BYTES 32 /* of SHA-256 */
#define MAC_CHARS ((size_t)2 * MAC_BYTES)

static const char before_mac[] = "{\"mac\":\"";
static const char behind_mac[] = "\",";
#define BEFORE_CHARS (sizeof(before_mac) - 1)
#define BEHIND_CHARS (sizeof(behind_mac) - 1)
#define SEAL_CHARS   (BEFORE_CHARS + MAC_CHARS + BEHIND_CHARS)

/* The key */

static int
refuse(const char *path, const char *why, const char *hint)
{
	log_error("could not use the key file \"%s\": %s", path, why);
	if (hint != NULL)
		log_hint("%s", hint);
	return EXIT_CONFIG;
}

static int
check_mode(int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return refuse(path, strerror(errno), NULL);
	if (!S_ISREG(st.st_mode))
		return refuse(path, "it is not a regular file", NULL);
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) == 0)
		return EXIT_DONE;
	refuse(path, "group or others have access to it", NULL);
	log_hint("chmod 600 \"%s\"", path);
	return EXIT_CONFIG;
}

/* Reads up to a byte more than a key may have. */
static int
take(struct snapshot_key *k, int fd, const char *path)
{
	ssize_t n = 1;
	char *to;

	while (n != 0 && k->secret.len <= SNAPSHOT_KEY_MAX + 1) {
		size_t room = SNAPSHOT_KEY_MAX + 2 - k->secret.len;

		to = buf_reserve(&k->secret, room);
		if (to == NULL)
			errno = ENOMEM;
		n = to != NULL ? read(fd, to, room) : -1;
		if (n < 0 && errno != EINTR)
			return refuse(path, strerror(errno), NULL);
		k->secret.len += n > 0 ? (size_t)n : 0;
	}
	if (k->secret.len > 0 && k->secret.data[k->secret.len - 1] == '\n')
		k->secret.len--;
	return EXIT_DONE;
}

int
snapshot_key_read(struct snapshot_key *k, const char *path)
{
	int fd, rc;

	if (path == NULL)
		return EXIT_DONE;
	/* the open of a FIFO would wait for a writer */
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return refuse(path, strerror(errno),
		    "Make it with: (umask 77; openssl rand -hex 32 >FILE).");
	rc = check_mode(fd, path);
	if (rc == EXIT_DONE)
		rc = take(k, fd, path);
	close(fd);
	if (rc == EXIT_DONE &&
	    (k->secret.len < SNAPSHOT_KEY_MIN ||
		k->secret.len > SNAPSHOT_KEY_MAX))
		rc = refuse(path, "a key has 16 to 4096 bytes", NULL);
	if (rc != EXIT_DONE)
		snapshot_key_release(k);
	return rc;
}

void
snapshot_key_release(struct snapshot_key *k)
{
	if (k->secret.data != NULL)
		OPENSSL_cleanse(k->secret.data, k->secret.cap);
	buf_release(&k->secret);
}

/* The seal */

/* False: out of memory. */
static bool
make_mac(const struct snapshot_key *k, struct view message, char mac[MAC_CHARS])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char raw[EVP_MAX_MD_SIZE];

	if (HMAC(EVP_sha256(), k->secret.data, (int)k->secret.len,
		(const unsigned char *)message.p, message.n, raw, NULL) == NULL)
		return false;
	for (size_t i = 0; i < MAC_BYTES; i++) {
		mac[2 * i] = digits[raw[i] >> 4];
		mac[2 * i + 1] = digits[raw[i] & 15];
	}
	return true;
}

void
snapshot_seal(const struct snapshot_key *k, struct buf *content)
{
	struct buf sealed = BUF_INIT;
	char mac[MAC_CHARS];

	if (!snapshot_key_given(k) || content->failed)
		return;
	content->failed = !make_mac(k, buf_view(content), mac);
	buf_add(&sealed, before_mac, BEFORE_CHARS);
	buf_add(&sealed, mac, MAC_CHARS);
	buf_add(&sealed, behind_mac, BEHIND_CHARS);
	buf_add(&sealed, content->data + 1, content->len - 1);
	sealed.failed |= content->failed;
	buf_release(content);
	*content = sealed;
}

bool
snapshot_sealed(const struct snapshot_key *k, struct view content)
{
	struct buf message = BUF_INIT;
	char mac[MAC_CHARS];
	bool same;

	if (!snapshot_key_given(k))
		return true;
	if (content.n < SEAL_CHARS ||
	    memcmp(content.p, before_mac, BEFORE_CHARS) != 0 ||
	    memcmp(content.p + BEFORE_CHARS + MAC_CHARS, behind_mac,
		BEHIND_CHARS) != 0)
		return false;
	buf_addc(&message, '{');
	buf_add(&message, content.p + SEAL_CHARS, content.n - SEAL_CHARS);
	same = !message.failed && make_mac(k, buf_view(&message), mac) &&
	    CRYPTO_memcmp(content.p + BEFORE_CHARS, mac, MAC_CHARS) == 0;
	buf_release(&message);
	return same;
}
