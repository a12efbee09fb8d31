#define _GNU_SOURCE /* ppoll */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/line.h"
#include "tap.h"

/* Replaces poll(2): a signal may interrupt it once. */
static bool interrupt;
static unsigned alarms;

int
poll(struct pollfd *fds, nfds_t n, int timeout)
{
	struct timespec t = {timeout / 1000, timeout % 1000 * 1000000};

	if (interrupt) {
		interrupt = false;
		errno = EINTR;
		return -1;
	}
	return ppoll(fds, n, timeout < 0 ? NULL : &t, NULL);
}

/* A reader, and the end of the pipe that feeds it. */
struct fixture {
	struct line_reader r;
	int to;
};

static void
start(struct fixture *f, size_t max)
{
	int fd[2];

	if (pipe(fd) != 0)
		abort();
	f->to = fd[1];
	line_init(&f->r, fd[0], max);
}

static void
stop(struct fixture *f)
{
	line_release(&f->r);
	close(f->r.fd);
	if (f->to >= 0)
		close(f->to);
}

static void
give(struct fixture *f, struct view v)
{
	if (write(f->to, v.p, v.n) != (ssize_t)v.n)
		abort();
}

static void
finish(struct fixture *f)
{
	close(f->to);
	f->to = -1;
}

static void
is_next(struct fixture *f, enum line_status wanted, struct view text)
{
	static const char *const names[] = {
	    "ready", "dry", "eof", "cut", "long", "error"};
	struct view line = VIEW_NULL;
	enum line_status got = line_next(&f->r, &line);

	if (!ok(got == wanted, "next is %s", names[wanted]))
		printf("# got %s\n", names[got]);
	if (wanted == LINE_READY)
		is_view(line, text, "- line %d", (int)f->r.number);
}

#define NEXT(f, status)   is_next(f, status, VIEW_NULL)
#define READY(f, literal) is_next(f, LINE_READY, VIEW_LIT(literal))

static void
test_lines(void)
{
	struct fixture f;

	start(&f, 100);
	NEXT(&f, LINE_DRY);
	give(&f, VIEW_LIT("one\n"));
	READY(&f, "one");
	ok(f.r.number == 1, "the first line is number 1");
	NEXT(&f, LINE_DRY);
	give(&f, VIEW_LIT("tw"));
	NEXT(&f, LINE_DRY);
	NEXT(&f, LINE_DRY);
	give(&f, VIEW_LIT("o\nthree\n\n\nfo"));
	READY(&f, "two");
	READY(&f, "three");
	READY(&f, "");
	READY(&f, "");
	NEXT(&f, LINE_DRY);
	ok(f.r.number == 5, "a dry call does not count");
	give(&f, VIEW_LIT("ur\r\n"));
	READY(&f, "four\r");
	give(&f, VIEW_LIT("\0a\0\n\0\n"));
	READY(&f, "\0a\0");
	READY(&f, "\0");
	give(&f, VIEW_LIT("\n"));
	finish(&f);
	READY(&f, "");
	NEXT(&f, LINE_EOF);
	NEXT(&f, LINE_EOF);
	ok(f.r.number == 9, "nor does the end of file");
	stop(&f);

	start(&f, 100);
	finish(&f);
	NEXT(&f, LINE_EOF);
	stop(&f);

	start(&f, 100);
	give(&f, VIEW_LIT("a\nb"));
	finish(&f);
	READY(&f, "a");
	NEXT(&f, LINE_CUT);
	NEXT(&f, LINE_CUT);
	stop(&f);
}

static void
test_max(void)
{
	struct fixture f;

	start(&f, 4);
	give(&f, VIEW_LIT("1234\n12345\n"));
	READY(&f, "1234");
	NEXT(&f, LINE_LONG);
	stop(&f);

	start(&f, 4);
	give(&f, VIEW_LIT("1234"));
	NEXT(&f, LINE_DRY);
	give(&f, VIEW_LIT("\n"));
	READY(&f, "1234");
	give(&f, VIEW_LIT("1234"));
	NEXT(&f, LINE_DRY);
	give(&f, VIEW_LIT("5"));
	NEXT(&f, LINE_LONG);
	stop(&f);

	start(&f, 4);
	give(&f, VIEW_LIT("1234"));
	finish(&f);
	NEXT(&f, LINE_CUT);
	stop(&f);

	start(&f, 4);
	give(&f, VIEW_LIT("12345"));
	finish(&f);
	NEXT(&f, LINE_LONG);
	stop(&f);

	start(&f, 0);
	give(&f, VIEW_LIT("\n\nx"));
	READY(&f, "");
	READY(&f, "");
	NEXT(&f, LINE_LONG);
	stop(&f);
}

static void
is_skip(struct fixture *f, enum line_status wanted, struct view text)
{
	struct view piece = VIEW_NULL;

	ok(line_skip(&f->r, &piece) == wanted, "skip");
	is_view(piece, text, "- its piece");
}

#define SKIP(f, status, literal) is_skip(f, status, VIEW_LIT(literal))

/* A line that is too long, in pieces. */
static void
test_skip(void)
{
	struct view line = VIEW_NULL;
	struct fixture f;

	start(&f, 4);
	give(&f, VIEW_LIT("12345\n123"));
	ok(line_next(&f.r, &line) == LINE_LONG, "a whole line");
	is_view(line, VIEW_LIT("12345"), "- the part that was read");
	SKIP(&f, LINE_READY, "12345");
	NEXT(&f, LINE_DRY);
	give(&f, VIEW_LIT("45"));
	ok(line_next(&f.r, &line) == LINE_LONG, "the first bytes of a line");
	is_view(line, VIEW_LIT("12345"), "- the part that was read");
	SKIP(&f, LINE_LONG, "12345");
	is_skip(&f, LINE_DRY, VIEW_NULL);
	give(&f, VIEW_LIT("6\0007"));
	SKIP(&f, LINE_LONG, "6\0007");
	give(&f, VIEW_LIT("\n1234\n56789"));
	SKIP(&f, LINE_READY, "");
	READY(&f, "1234");
	ok(f.r.number == 3, "long lines count once");
	ok(line_next(&f.r, &line) == LINE_LONG && f.r.number == 4, "another");
	SKIP(&f, LINE_LONG, "56789");
	finish(&f);
	is_skip(&f, LINE_CUT, VIEW_NULL);
	is_skip(&f, LINE_CUT, VIEW_NULL);
	stop(&f);
}

/* Gives all of text piece by piece while reading. */
static void
test_big(void)
{
	const size_t n = 3 * 1000 * 1000;
	struct buf text = BUF_INIT;
	struct fixture f;
	struct view line = VIEW_NULL;
	enum line_status status = LINE_DRY;

	start(&f, n);
	fcntl(f.to, F_SETFL, O_NONBLOCK);
	for (size_t i = 0; i < n; i++)
		buf_addc(&text, (char)('a' + i % 23));
	buf_adds(&text, "\nlast\n");
	for (size_t done = 0; status == LINE_DRY;) {
		ssize_t w = write(f.to, text.data + done, text.len - done);

		if (w > 0)
			done += (size_t)w;
		status = line_next(&f.r, &line);
	}
	ok(status == LINE_READY, "a line of 3 MB");
	ok(view_eq(line, (struct view){text.data, n}), "- whole");
	READY(&f, "last");
	ok(f.r.b.cap < 4 * n, "- in memory of about its size");
	stop(&f);
	buf_release(&text);
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

/* Random lines in random pieces are read unchanged. */
static void
test_random(void)
{
	struct buf text = BUF_INIT;
	struct fixture f;
	struct view line;
	size_t from = 0, given = 0;
	uint64_t lines = 0;
	bool same = true;

	for (int i = 0; i < 20000; i++) {
		for (uint64_t n = rnd(4) == 0 ? rnd(300) : rnd(10); n > 0; n--)
			buf_addc(&text, (char)(rnd(246) + 11));
		buf_addc(&text, '\n');
	}
	start(&f, 300);
	while (same && from < text.len) {
		enum line_status status = line_next(&f.r, &line);
		size_t piece = 1 + rnd(rnd(20) == 0 ? 60000 : 20);

		if (status == LINE_READY) {
			same = from + line.n < given &&
			    memcmp(line.p, text.data + from, line.n) == 0 &&
			    text.data[from + line.n] == '\n' &&
			    f.r.number == ++lines;
			from += line.n + 1;
			continue;
		}
		same = status == LINE_DRY && given < text.len;
		if (piece > text.len - given)
			piece = text.len - given;
		give(&f, (struct view){text.data + given, piece});
		given += piece;
	}
	ok(same && lines == 20000, "random lines in random pieces");
	stop(&f);
	buf_release(&text);
}

static void
test_error(void)
{
	struct line_reader r;
	struct view line;
	int fd = open("/", O_RDONLY);

	line_init(&r, fd, 10);
	errno = 0;
	ok(line_next(&r, &line) == LINE_ERROR && errno == EISDIR,
	    "an error of read(2)");
	line_release(&r);
	ok(fcntl(fd, F_GETFD) >= 0, "release leaves the descriptor open");
	close(fd);
}

static void
on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

/* A signal must not lead into a read(2) that blocks. */
static void
test_interrupted(void)
{
	struct sigaction action = {.sa_handler = on_alarm};
	struct view line;
	struct fixture f;

	/* would end a read(2) that blocks */
	sigaction(SIGALRM, &action, NULL);
	start(&f, 10);
	interrupt = true;
	alarm(2);
	ok(line_next(&f.r, &line) == LINE_DRY, "dry after a signal in poll");
	alarm(0);
	ok(!interrupt && alarms == 0, "- without blocking");
	give(&f, VIEW_LIT("a\n"));
	READY(&f, "a");
	stop(&f);
}

int
main(void)
{
	const char *seed = getenv("SEED");

	state = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
	printf("# SEED=%llu\n", (unsigned long long)state);
	test_lines();
	test_max();
	test_skip();
	test_big();
	test_random();
	test_error();
	test_interrupted();
	return done_testing();
}
