#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/signals.h"
#include "tap.h"

#define BIG ((size_t)5 * 1000 * 1000)

/* Opens an output to a pipe; returns the reading end, non-blocking. */
static int
open_pipe(struct fdio_out *o)
{
	int fd[2];

	if (pipe(fd) != 0)
		abort();
	fcntl(fd[0], F_SETFL, O_NONBLOCK);
	fdio_out_init(o, fd[1], "pipe");
	return fd[0];
}

static char
byte_at(size_t i)
{
	return (char)(i % 251);
}

static void
queue(struct fdio_out *o, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_addc(&o->b, byte_at(i));
}

/* Reads what is there; is it the bytes from *at on? */
static bool
take(int fd, size_t *at)
{
	static char piece[65536];
	ssize_t n;

	while ((n = read(fd, piece, sizeof(piece))) > 0)
		for (ssize_t i = 0; i < n; i++)
			if (piece[i] != byte_at((*at)++))
				return false;
	return true;
}

static void
test_flush(void)
{
	struct fdio_out o;
	int fd = open_pipe(&o), rc = EXIT_DONE, rounds = 0;
	size_t pending, at = 0;
	bool same = true;

	ok(fdio_out_pending(&o) == 0 && fdio_out_flush(&o) == EXIT_DONE,
	    "nothing to write");
	buf_add(&o.b, "", 1);
	ok(fdio_out_pending(&o) == 1, "queued bytes are pending");
	ok(fdio_out_flush(&o) == EXIT_DONE && fdio_out_pending(&o) == 0,
	    "what fits is written");
	ok(o.b.len == 0 && take(fd, &at) && at == 1, "- and has arrived");

	at = 0;
	queue(&o, BIG);
	ok(fdio_out_flush(&o) == EXIT_DONE, "more than a pipe holds");
	pending = fdio_out_pending(&o);
	ok(pending > 0 && pending < BIG, "- the rest is pending");
	ok(fdio_out_flush(&o) == EXIT_DONE && fdio_out_pending(&o) == pending,
	    "- and stays pending while nobody reads");
	ok(fdio_wait(o.fd, POLLOUT, 0) == 0, "- fdio_wait shows that");
	while (rc == EXIT_DONE && same && at < BIG && rounds++ < 100000) {
		same = take(fd, &at);
		rc = fdio_out_flush(&o);
	}
	ok(rc == EXIT_DONE && same && at == BIG && fdio_out_pending(&o) == 0,
	    "a reader gets every byte in order");
	ok(fdio_wait(o.fd, POLLOUT, -1) == POLLOUT, "there is room again");
	ok(fdio_out_close(&o) == EXIT_DONE && o.fd == -1, "close");
	ok(read(fd, &same, 1) == 0, "- the reader sees the end");
	ok(fdio_out_close(&o) == EXIT_DONE, "closing again does nothing");
	close(fd);
}

/* Reads to the end in another process, which exits with 0 if all bytes came. */
static pid_t
reader(int fd, int other_end)
{
	pid_t pid;
	size_t at = 0;

	fflush(stdout);
	pid = fork();
	if (pid != 0)
		return pid;
	close(other_end);
	fcntl(fd, F_SETFL, 0);
	_exit(!take(fd, &at) || at != BIG);
}

static void
test_drain(void)
{
	struct fdio_out o;
	int fd = open_pipe(&o), status = -1;
	pid_t pid = reader(fd, o.fd);

	queue(&o, BIG);
	ok(pid > 0 && fdio_out_drain(&o, 0) == EXIT_DONE,
	    "drain writes all while somebody reads");
	ok(fdio_out_pending(&o) == 0, "- nothing is pending");
	fdio_out_close(&o);
	ok(waitpid(pid, &status, 0) == pid && status == 0, "- all has arrived");
	close(fd);
}

static void
test_flags(void)
{
	struct fdio_out o;
	int fd[2], copy;

	if (pipe(fd) != 0)
		abort();
	copy = dup(fd[1]);
	fdio_out_init(&o, fd[1], "pipe");
	ok((fcntl(copy, F_GETFL) & O_NONBLOCK) != 0,
	    "a pipe does not block while it is used");
	fdio_out_close(&o);
	ok((fcntl(copy, F_GETFL) & O_NONBLOCK) == 0,
	    "- and blocks again after close");
	close(fd[0]);
	close(copy);

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) != 0)
		abort();
	fcntl(fd[1], F_SETFL, fcntl(fd[1], F_GETFL) | O_NONBLOCK);
	copy = dup(fd[1]);
	fdio_out_init(&o, fd[1], "socket");
	ok((fcntl(copy, F_GETFL) & O_NONBLOCK) != 0, "a socket");
	fdio_out_close(&o);
	ok((fcntl(copy, F_GETFL) & O_NONBLOCK) != 0,
	    "- that did not block before stays non-blocking");
	close(fd[0]);
	close(copy);
}

static void
test_errors(void)
{
	struct fdio_out o;
	int fd = open_pipe(&o);

	close(fd);
	ok((fdio_wait(o.fd, 0, -1) & POLLERR) != 0,
	    "a pipe without a reader gives POLLERR");
	buf_adds(&o.b, "x");
	ok(fdio_out_flush(&o) == EXIT_IO, "EPIPE");
	ok(fdio_out_pending(&o) == 1, "- what was not written stays");
	ok(fdio_out_drain(&o, 0) == EXIT_IO, "- in drain, too");
	ok(fdio_out_close(&o) == EXIT_DONE && o.b.data == NULL,
	    "- close drops it");

	fd = open_pipe(&o);
	queue(&o, BIG);
	ok(fdio_out_flush(&o) == EXIT_DONE, "a reader");
	close(fd);
	ok(fdio_out_flush(&o) == EXIT_IO, "- that closes the pipe in between");
	fdio_out_close(&o);

	fdio_out_init(&o, open("/dev/full", O_WRONLY), "/dev/full");
	buf_adds(&o.b, "x");
	ok(fdio_out_flush(&o) == EXIT_IO, "a full disk");
	ok(fdio_out_drain(&o, 0) == EXIT_IO, "- in drain, too");
	fdio_out_close(&o);

	fdio_out_init(&o, open("/dev/null", O_WRONLY), "/dev/null");
	buf_reserve(&o.b, SIZE_MAX);
	ok(fdio_out_flush(&o) == EXIT_OS, "a queue that could not grow");
	close(o.fd);
	ok(fdio_out_close(&o) == EXIT_IO, "an error of close(2)");
	ok(o.fd == -1 && o.b.data == NULL, "- it counts as closed");
}

static void
test_wait(void)
{
	int64_t before = clock_ms();
	int fd[2];

	if (pipe(fd) != 0)
		abort();
	ok(fdio_wait(fd[0], POLLIN, 0) == 0, "nothing to read");
	ok(write(fd[1], "x", 1) == 1 && fdio_wait(fd[0], POLLIN, -1) == POLLIN,
	    "something to read");
	ok(fdio_wait(fd[1], POLLOUT, INT64_MAX) == POLLOUT,
	    "the longest timeout");
	fdio_pause(2);
	ok(clock_ms() - before >= 2, "a pause lasts as long as it is asked to");
	close(fd[0]);
	close(fd[1]);
}

/* At the end: a stop cannot be taken back. */
static void
test_stop(void)
{
	struct fdio_out o;
	int fd = open_pipe(&o);
	int64_t before;
	size_t at = 0;

	raise(SIGTERM);
	ok(signals_stop_requested(), "a stop is requested");
	queue(&o, BIG);
	ok(fdio_out_drain(&o, 0) == EXIT_RETRY,
	    "drain gives up when nobody reads");
	ok(fdio_out_pending(&o) > 0 && take(fd, &at) && at > 0,
	    "- after writing what the pipe holds");
	fdio_out_close(&o);
	close(fd);
	before = clock_ms();
	fdio_pause(3600000);
	ok(clock_ms() - before < 600000, "a pause ends with the stop");
}

int
main(void)
{
	log_init("test_fdio");
	if (signals_init() != EXIT_DONE)
		return 1;
	test_flush();
	test_drain();
	test_flags();
	test_errors();
	test_wait();
	test_stop();
	return done_testing();
}
