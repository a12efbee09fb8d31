/*
 * proxy LISTEN TARGET commit|answer|version N: a proxy between a client and a
 * PostgreSQL server, both on unix sockets.
 *
 *	commit	 cuts the connection before the server gets the Nth COMMIT
 *	answer	 cuts it when the server answers the Nth COMMIT
 *	version	 the server reports major version N, of two digits
 *
 * The client cannot distinguish the first two.  The proxy prints "cut" when it
 * has cut, and passes on everything else, also afterwards.
 *
 * A message (PostgreSQL manual, "Message Formats") is a type byte, a length
 * that includes itself, and the content; the client's first one has no type.
 */
#define _GNU_SOURCE
#include <err.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define KEEP 4096 /* bytes of a message that are examined */

struct way {
	int from, to;
	bool typed;    /* messages begin with a type */
	char cut_type; /* type of the message to cut at */
	const char *cut_text;
	unsigned char head[KEEP];
	size_t have; /* bytes of the message that are in head */
	size_t rest; /* bytes of it that are only passed on */
};

static atomic_int
    *count; /* messages up to the cut; shared by all connections */
static const char *version; /* that the server reports, or NULL */

static void
send_all(int fd, const unsigned char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done <= 0)
			_exit(0);
		p += done;
		n -= (size_t)done;
	}
}

static bool
contains(const unsigned char *p, size_t n, const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i + len <= n; i++) {
		if (memcmp(p + i, text, len) == 0)
			return true;
	}
	return false;
}

/* The length of the message in head; 0: not known yet. */
static size_t
message_length(const struct way *w)
{
	size_t at = w->typed ? 1 : 0;
	const unsigned char *p = w->head + at;

	if (w->have < at + 4)
		return 0;
	return at +
	    ((size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 |
		(size_t)p[3]);
}

/* ParameterStatus: two strings. */
static void
change_version(struct way *w)
{
	static const char name[] = "server_version";

	if (w->head[0] == 'S' && w->have > 5 + sizeof(name) + 2 &&
	    memcmp(w->head + 5, name, sizeof(name)) == 0)
		memcpy(w->head + 5 + sizeof(name), version, 2);
}

static void
look(struct way *w)
{
	if (version != NULL && w->typed)
		change_version(w);
	if (!w->typed || w->head[0] != (unsigned char)w->cut_type ||
	    !contains(w->head, w->have, w->cut_text))
		return;
	if (atomic_fetch_sub(count, 1) == 1) {
		send_all(STDOUT_FILENO, (const unsigned char *)"cut\n", 4);
		_exit(0);
	}
}

static void
pass(struct way *w, const unsigned char *p, size_t n)
{
	while (n > 0) {
		size_t length, take = 1;

		if (w->rest > 0) {
			take = w->rest < n ? w->rest : n;
			send_all(w->to, p, take);
			w->rest -= take;
		} else {
			w->head[w->have++] = *p;
			length = message_length(w);
			if (length > 0 &&
			    (w->have == length || w->have == KEEP)) {
				look(w);
				send_all(w->to, w->head, w->have);
				w->rest = length - w->have;
				w->have = 0;
				w->typed = true;
			}
		}
		p += take;
		n -= take;
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

static void
serve(int client, const char *target, bool answer)
{
	struct sockaddr_un a = address(target);
	int server = socket(AF_UNIX, SOCK_STREAM, 0);
	struct way ways[2] = {
	    {.from = client,
		.to = server,
		.cut_type = answer ? '\0' : 'Q',
		.cut_text = "; COMMIT"},
	    {.from = server,
		.to = client,
		.typed = true,
		.cut_type = answer ? 'C' : '\0',
		.cut_text = "COMMIT"},
	};
	unsigned char buf[65536];

	if (connect(server, (struct sockaddr *)&a, sizeof(a)) != 0)
		err(71, "%s", target);
	for (;;) {
		struct pollfd p[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};

		if (poll(p, 2, -1) < 0)
			err(71, "poll");
		for (int i = 0; i < 2; i++) {
			ssize_t n;

			if (p[i].revents == 0)
				continue;
			n = read(ways[i].from, buf, sizeof(buf));
			if (n <= 0)
				_exit(0);
			pass(&ways[i], buf, (size_t)n);
		}
	}
}

int
main(int argc, char **argv)
{
	struct sockaddr_un a;
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), client;

	if (argc != 5)
		errx(64, "usage: proxy LISTEN TARGET commit|answer|version N");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	count = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (count == MAP_FAILED)
		err(71, "mmap");
	atomic_init(count, atoi(argv[4]));
	if (argv[3][0] == 'v') {
		version = argv[4];
		atomic_init(count, 0);
	}
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
			serve(client, argv[2], argv[3][0] == 'a');
		}
		close(client);
	}
	err(71, "accept");
}
