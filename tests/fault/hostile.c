/*
 * hostile LISTEN TARGET MODE N SEED: a proxy between a client and a PostgreSQL
 * server, both on unix sockets, that breaks the replication protocol.  It
 * passes on the stream up to the Nth message, to which MODE happens:
 *
 *	truncate  its end is missing
 *	oversize  bytes are added
 *	reorder   it comes after the next one
 *	drop      it is left out
 *	double    it comes twice
 *	length    its length is the largest possible
 *	inner     a length or number within it is the largest possible
 *	flip      some of its bytes are changed
 *	cut       the connection ends in the middle of it
 *	error     an error with some SQLSTATE comes instead
 *	slow      it and the rest come one byte at a time, unchanged
 *
 * A message (PostgreSQL manual, "Message Formats") is a type byte, a length
 * that includes itself, and the content.
 */
#define _GNU_SOURCE
#include <err.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define HEAD 5
#define DATA 25 /* header of XLogData, before the plugin's bytes */

struct message {
	unsigned char *p;
	size_t n;
};

static int ends[2]; /* of the connection: client, server */
static const char *mode;
static long left; /* messages up to the Nth */
static bool slow;

/* Both processes of a connection hold both ends. */
static void
over(void)
{
	shutdown(ends[0], SHUT_RDWR);
	shutdown(ends[1], SHUT_RDWR);
	_exit(0);
}

static bool
is_mode(const char *name)
{
	return strcmp(mode, name) == 0;
}

static void
send_all(int fd, const unsigned char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, slow ? 1 : n);

		if (done <= 0)
			over();
		p += done;
		n -= (size_t)done;
	}
}

static void
read_all(int fd, unsigned char *p, size_t n)
{
	while (n > 0) {
		ssize_t got = read(fd, p, n);

		if (got <= 0)
			over();
		p += got;
		n -= (size_t)got;
	}
}

static void
set_length(struct message *m, uint32_t length)
{
	for (int i = 0; i < 4; i++)
		m->p[1 + i] = (unsigned char)(length >> (8 * (3 - i)));
}

static struct message
next_message(int fd)
{
	unsigned char head[HEAD];
	struct message m;

	read_all(fd, head, HEAD);
	m.n = 1 +
	    ((size_t)head[1] << 24 | (size_t)head[2] << 16 |
		(size_t)head[3] << 8 | (size_t)head[4]);
	/* with room for what a mode adds */
	m.p = malloc(m.n + 64);
	if (m.p == NULL)
		err(71, "malloc");
	memcpy(m.p, head, HEAD);
	read_all(fd, m.p + HEAD, m.n - HEAD);
	return m;
}

static size_t
below(size_t n)
{
	return n > 0 ? (size_t)rand() % n : 0;
}

static void
send_error(int to)
{
	static const char *const states[] = {"XX000", "54000", "22012", "58030",
	    "57P01", "53200", "42704", "0A000", "08P01", "P0001"};
	unsigned char text[64] = "E....SERROR";
	struct message m = {text, 12};
	const char *state = states[below(sizeof(states) / sizeof(*states))];

	m.n += (size_t)snprintf(
		   (char *)text + m.n, sizeof(text) - m.n, "C%s", state) +
	    1;
	m.n += (size_t)snprintf(
		   (char *)text + m.n, sizeof(text) - m.n, "Mhostile") +
	    1;
	text[m.n++] = '\0';
	set_length(&m, (uint32_t)m.n - 1);
	send_all(to, m.p, m.n);
	over();
}

/* Applies the mode to the message, which the caller then sends. */
static void
spoil(struct message *m, int to)
{
	static const uint32_t lengths[] = {0xffffffff, 0x7fffffff, 0x3fffffff};
	size_t body = m->n > HEAD + DATA ? HEAD + DATA : HEAD;

	if (is_mode("truncate")) {
		/* libpq ignores an empty message */
		m->n -= 1 + below(m->n - HEAD - 1);
		set_length(m, (uint32_t)m->n - 1);
	} else if (is_mode("oversize")) {
		for (size_t i = 1 + below(60); i > 0; i--)
			m->p[m->n++] = (unsigned char)rand();
		set_length(m, (uint32_t)m->n - 1);
	} else if (is_mode("length")) {
		set_length(m, lengths[below(3)]);
	} else if (is_mode("inner")) {
		memset(m->p + body + below(m->n - body - 3),
		    below(2) ? 0xff : 0x7f, 4);
	} else if (is_mode("flip")) {
		for (size_t i = 1 + below(4); i > 0; i--)
			m->p[HEAD + below(m->n - HEAD)] = (unsigned char)rand();
	} else if (is_mode("cut")) {
		send_all(to, m->p, below(m->n));
		over();
	} else if (is_mode("error")) {
		send_error(to);
	}
}

/* Passes on messages of the server; those of type 'd' are the stream. */
static void
from_server(int from, int to)
{
	struct message m, next;
	bool now;

	for (;;) {
		m = next_message(from);
		now = m.p[0] == 'd' && --left == 0;
		if (now && is_mode("slow")) {
			slow = true;
		} else if (now && is_mode("reorder")) {
			next = next_message(from);
			send_all(to, next.p, next.n);
			free(next.p);
		} else if (now && is_mode("double")) {
			send_all(to, m.p, m.n);
		} else if (now) {
			spoil(&m, to);
		}
		if (!now || !is_mode("drop"))
			send_all(to, m.p, m.n);
		free(m.p);
	}
}

static void
from_client(int from, int to)
{
	unsigned char bytes[65536];
	ssize_t n;

	while ((n = read(from, bytes, sizeof(bytes))) > 0) {
		for (ssize_t done = 0; done < n;) {
			ssize_t w = write(to, bytes + done, (size_t)(n - done));

			if (w <= 0)
				over();
			done += w;
		}
	}
}

static struct sockaddr_un
address(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(a.sun_path))
		errx(64, "%s: too long", path);
	strcpy(a.sun_path, path);
	return a;
}

/* When one of the two processes ends, so does the other. */
static void
serve(int client, const char *target)
{
	struct sockaddr_un a = address(target);
	int server = socket(AF_UNIX, SOCK_STREAM, 0);
	pid_t pid;

	ends[0] = client;
	ends[1] = server;
	if (connect(server, (struct sockaddr *)&a, sizeof(a)) != 0)
		err(71, "%s", target);
	pid = fork();
	if (pid < 0)
		err(71, "fork");
	if (pid == 0)
		from_client(client, server);
	else
		from_server(server, client);
	over();
}

int
main(int argc, char **argv)
{
	struct sockaddr_un a;
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), client;

	if (argc != 6)
		errx(64, "usage: hostile LISTEN TARGET MODE N SEED");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	mode = argv[3];
	left = atol(argv[4]);
	srand((unsigned)atol(argv[5]));
	a = address(argv[1]);
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) != 0 ||
	    listen(listener, 16) != 0)
		err(71, "%s", argv[1]);
	while ((client = accept(listener, NULL, NULL)) >= 0) {
		switch (fork()) {
		case -1:
			err(71, "fork");
		case 0:
			close(listener);
			serve(client, argv[2]);
		}
		close(client);
	}
	err(71, "accept");
}
