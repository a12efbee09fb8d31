#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/exitcode.h"
#include "base/log.h"
#include "stream/ack.h"
#include "tap.h"

static struct ack_window window;

static void
sent(uint64_t from, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		ack_sent(&window, from + i);
}

static void
is_new(uint64_t position, size_t wanted)
{
	size_t popped = 0;

	ok(ack_received(&window, position, &popped) == ACK_NEW &&
		popped == wanted,
	    "%llu is new and ends %zu", (unsigned long long)position, wanted);
}

static void
is_not_new(uint64_t position, enum ack_status wanted)
{
	struct ack_window before = window;
	size_t popped = 0;

	ok(ack_received(&window, position, &popped) == wanted, "%llu is %s",
	    (unsigned long long)position,
	    wanted == ACK_OLD ? "old" : "unknown");
	ok(memcmp(&before, &window, sizeof(window)) == 0,
	    "- and changes nothing");
}

static void
test_window(void)
{
	window = (struct ack_window){0};
	ok(!ack_full(&window), "a new window is not full");
	is_not_new(1, ACK_UNKNOWN);
	ack_sent(&window, 10);
	ack_sent(&window, 20);
	ack_sent(&window, 30);
	ack_sent(&window, 40);
	is_not_new(15, ACK_UNKNOWN);
	is_new(10, 1);
	is_not_new(10, ACK_OLD);
	is_not_new(5, ACK_OLD);
	is_not_new(11, ACK_UNKNOWN);
	is_not_new(50, ACK_UNKNOWN);
	is_not_new(UINT64_MAX, ACK_UNKNOWN);
	is_new(30, 2);
	ok(window.acked == 30, "the greatest acknowledged is kept");
	is_not_new(20, ACK_OLD);
	is_not_new(31, ACK_UNKNOWN);
	is_new(40, 1);
	is_not_new(40, ACK_OLD);
	is_not_new(41, ACK_UNKNOWN);
	ack_sent(&window, 41);
	is_new(41, 1);
}

static void
test_ring(void)
{
	uint64_t next = 1;
	bool right = true;
	size_t popped;

	window = (struct ack_window){0};
	sent(1, ACK_WINDOW - 1);
	ok(!ack_full(&window), "one less than full");
	sent(ACK_WINDOW, 1);
	ok(ack_full(&window), "full");
	is_new(1000, 1000);
	ok(!ack_full(&window), "not full any more");
	sent(ACK_WINDOW + 1, 1000);
	ok(ack_full(&window), "full again, around the end");
	is_not_new(1000, ACK_OLD);
	is_not_new(ACK_WINDOW + 1001, ACK_UNKNOWN);
	is_new(1001, 1);
	is_new(ACK_WINDOW + 1, ACK_WINDOW - 1000);
	is_new(ACK_WINDOW + 1000, 999);
	is_not_new(ACK_WINDOW + 1000, ACK_OLD);

	/* many times around: acknowledge the last of a few */
	window = (struct ack_window){0};
	for (uint64_t n = 1; n <= ACK_WINDOW && right; n += 13) {
		sent(next, n);
		right = ack_full(&window) == (n == ACK_WINDOW) &&
		    ack_received(&window, next + n - 1, &popped) == ACK_NEW &&
		    popped == n && window.n == 0;
		next += n;
	}
	ok(right && next > 100 * ACK_WINDOW, "many times around");
}

/* The channel */

static int to; /* the end of the writer */

static void
give(struct view v)
{
	if (write(to, v.p, v.n) != (ssize_t)v.n)
		abort();
}

static void
is_next(struct ack_channel *c, struct view wanted, bool eof)
{
	struct view position = VIEW_LIT("never set");

	ok(ack_channel_next(c, &position) == EXIT_DONE && c->eof == eof, "%s",
	    eof                    ? "the end"
		: wanted.p != NULL ? "a position"
				   : "nothing now");
	is_view(position, wanted, "- %.*s", VIEW_FMT(wanted));
}

static char path[64];

static const char *
dev_fd(int fd)
{
	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	return path;
}

static void
open_pipe(struct ack_channel *c)
{
	int fd[2];

	if (pipe(fd) != 0)
		abort();
	to = fd[1];
	if (ack_channel_open(c, dev_fd(fd[0])) != EXIT_DONE)
		abort();
	ok(c->fd == fd[0], "/dev/fd/%d is the descriptor itself", fd[0]);
}

static void
test_channel(void)
{
	struct ack_channel c;
	int fd;

	open_pipe(&c);
	fd = c.fd;
	ok((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 &&
		(fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0,
	    "it does not block and is not inherited");
	is_next(&c, VIEW_NULL, false);
	give(VIEW_LIT("0/1A\n0/1B\n\nx"));
	is_next(&c, VIEW_LIT("0/1A"), false);
	is_next(&c, VIEW_LIT("0/1B"), false);
	is_next(&c, VIEW_LIT(""), false);
	is_next(&c, VIEW_NULL, false);
	give(VIEW_LIT("y\n"));
	is_next(&c, VIEW_LIT("xy"), false);
	give(VIEW_LIT("last\n"));
	close(to);
	is_next(&c, VIEW_LIT("last"), false);
	is_next(&c, VIEW_NULL, true);
	is_next(&c, VIEW_NULL, true);
	ack_channel_close(&c);
	ok(c.fd == -1 && fcntl(fd, F_GETFD) == -1, "close closes it");

	open_pipe(&c);
	give(VIEW_LIT("0/1A\n0/1"));
	close(to);
	is_next(&c, VIEW_LIT("0/1A"), false);
	is_next(&c, VIEW_NULL, true); /* a fragment is ignored */
	ack_channel_close(&c);
}

static void
test_long_position(void)
{
	struct ack_channel c;
	struct view position;
	char text[4098];

	memset(text, 'a', sizeof(text));
	text[4096] = '\n';
	open_pipe(&c);
	give((struct view){text, 4097});
	is_next(&c, (struct view){text, 4096}, false);
	text[4096] = 'a';
	text[4097] = '\n';
	give((struct view){text, 4098});
	ok(ack_channel_next(&c, &position) == EXIT_PROTOCOL,
	    "a position of more than 4096 bytes");
	close(to);
	ok(ack_refuse(&c, position, "because") == EXIT_PROTOCOL, "ack_refuse");
	ack_channel_close(&c);
}

static void
test_fifo(const char *dir)
{
	struct ack_channel c;
	char fifo[128], file[128], missing[128];
	int fd;

	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	snprintf(file, sizeof(file), "%s/file", dir);
	snprintf(missing, sizeof(missing), "%s/missing", dir);
	/* opened for reading, too, so that open() does not wait */
	if (mkfifo(fifo, 0600) != 0 || (to = open(fifo, O_RDWR)) < 0)
		abort();
	ok(ack_channel_open(&c, fifo) == EXIT_DONE, "a FIFO");
	give(VIEW_LIT("one\n"));
	is_next(&c, VIEW_LIT("one"), false);
	is_next(&c, VIEW_NULL, false);
	close(to);
	is_next(&c, VIEW_NULL, true);
	ack_channel_close(&c);

	fd = open(file, O_CREAT | O_RDWR, 0600);
	ok(ack_channel_open(&c, file) == EXIT_CONFIG, "a file");
	ack_channel_close(&c);
	ok(ack_channel_open(&c, dev_fd(fd)) == EXIT_CONFIG,
	    "a file's descriptor");
	ack_channel_close(&c);
	ok(ack_channel_open(&c, "/dev/null") == EXIT_CONFIG, "a device");
	ack_channel_close(&c);
	ok(ack_channel_open(&c, dir) == EXIT_CONFIG, "a directory");
	ack_channel_close(&c);
	ok(ack_channel_open(&c, missing) == EXIT_IO, "a missing file");
	ok(ack_channel_open(&c, dev_fd(fd)) == EXIT_IO, "a closed descriptor");
	unlink(fifo);
	unlink(file);
}

int
main(void)
{
	char dir[] = "/tmp/test_ack.XXXXXX";

	log_init("test_ack");
	if (mkdtemp(dir) == NULL)
		abort();
	test_window();
	test_ring();
	test_channel();
	test_long_position();
	test_fifo(dir);
	rmdir(dir);
	return done_testing();
}
