/*
 * Notes when data comes through a pipe.  Times are microseconds since 1970, as
 * in the log of pgbench.
 *
 *	probe count N FILE   reads lines; writes the time of the Nth to FILE
 *	probe stamp FILE     passes lines on at once, and writes the time and
 *	                     the text of each to FILE
 *	probe batch FILE     a handler for buffer-batch: appends the time of
 *	                     the first byte, and the first and last id, to FILE
 *	probe ack            acknowledges each checkpoint, and drops the events:
 *	                     the reader of --ack, or a served handler
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char buffer[256 * 1024];

static int
fail(const char *verb, const char *object)
{
	fprintf(stderr, "probe: error: could not %s \"%s\": %s\n", verb, object,
	    strerror(errno));
	return 74;
}

static int64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int
write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno != EINTR)
			return -1;
		if (done > 0) {
			p += done;
			n -= (size_t)done;
		}
	}
	return 0;
}

static int
note(const char *file, const char *text, int flags)
{
	int fd = open(file, O_WRONLY | O_CREAT | flags, 0666);

	if (fd < 0 || write_all(fd, text, strlen(text)) != 0 || close(fd) != 0)
		return fail("write", file);
	return 0;
}

static uint64_t
count_newlines(const char *p, size_t n)
{
	const char *end = p + n;
	uint64_t lines = 0;

	while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		lines++;
		p++;
	}
	return lines;
}

static int
count(uint64_t wanted, const char *file)
{
	uint64_t lines = 0;
	bool noted = false;
	char text[32];
	ssize_t n;

	while ((n = read(STDIN_FILENO, buffer, sizeof(buffer))) > 0) {
		lines += count_newlines(buffer, (size_t)n);
		if (lines < wanted || noted)
			continue;
		noted = true;
		snprintf(text, sizeof(text), "%" PRId64 "\n", now_us());
		if (note(file, text, O_TRUNC) != 0)
			return 74;
	}
	return n < 0 ? fail("read", "stdin") : 0;
}

static int
stamp(const char *file)
{
	FILE *f = fopen(file, "w");
	ssize_t n;

	if (f == NULL)
		return fail("write", file);
	while ((n = read(STDIN_FILENO, buffer, sizeof(buffer))) > 0) {
		int64_t at = now_us();
		const char *p = buffer, *end = buffer + n, *eol;

		if (write_all(STDOUT_FILENO, buffer, (size_t)n) != 0)
			return fail("write", "stdout");
		/* an ack line is one write, so no line is cut */
		for (; (eol = memchr(p, '\n', (size_t)(end - p))) != NULL;
		     p = eol + 1)
			fprintf(
			    f, "%" PRId64 "\t%.*s\n", at, (int)(eol - p), p);
	}
	return fclose(f) == 0 ? 0 : fail("write", file);
}

static int
batch(const char *file)
{
	const char *first = getenv("PHILOTES_BATCH_FIRST_ID"),
		   *last = getenv("PHILOTES_BATCH_LAST_ID");
	ssize_t n = read(STDIN_FILENO, buffer, 1);
	int64_t at = now_us();
	char text[100];

	while (n > 0)
		n = read(STDIN_FILENO, buffer, sizeof(buffer));
	if (n < 0)
		return fail("read", "stdin");
	snprintf(text, sizeof(text), "%" PRId64 "\t%s\t%s\n", at,
	    first != NULL ? first : "", last != NULL ? last : "");
	return note(file, text, O_APPEND);
}

static int
ack(void)
{
	static const char before[] = "{\"control\":\"checkpoint\",\"ack\":\"";
	const size_t from = sizeof(before) - 1;
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	while ((n = getline(&line, &cap, stdin)) > 0) {
		if (strncmp(line, before, from) != 0)
			continue;
		printf("%.*s\n", (int)strcspn(line + from, "\""), line + from);
		if (fflush(stdout) != 0)
			return fail("write", "stdout");
	}
	free(line);
	return ferror(stdin) ? fail("read", "stdin") : 0;
}

int
main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "count") == 0)
		return count(strtoull(argv[2], NULL, 10), argv[3]);
	if (argc == 3 && strcmp(argv[1], "stamp") == 0)
		return stamp(argv[2]);
	if (argc == 3 && strcmp(argv[1], "batch") == 0)
		return batch(argv[2]);
	if (argc == 2 && strcmp(argv[1], "ack") == 0)
		return ack();
	fputs("usage: probe count N FILE | stamp FILE | batch FILE | ack\n",
	    stderr);
	return 64;
}
