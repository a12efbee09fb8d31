#include "handler.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "exitcode.h"
#include "fdio.h"
#include "log.h"
#include "stop.h"

/* together less than a supervisor waits for us */
#define STOP_MS      5000 /* for a handler to end once we are to stop */
#define KILL_MS      3000 /* between SIGTERM and SIGKILL */
#define STATUS_LATER 75

extern char **environ;

struct child {
	pid_t pid;
	int unread; /* our copy of the pipe's read end: what is left in it */
	struct fdio_out in;
	bool closed; /* all was written, or it cannot be */
	bool lost;   /* not all was written */
	bool ended;
	int status;       /* of waitpid */
	int64_t deadline; /* 0: none */
	int killed;       /* the last signal we sent */
};

static int
failed(const char *what)
{
	log_error("could not %s: %s", what, strerror(errno));
	return EXIT_OS;
}

/* In the child. */

static void
clean_environment(void)
{
	struct buf name = BUF_INIT;
	size_t i = 0;

	while (environ[i] != NULL) {
		buf_clear(&name);
		buf_add(&name, environ[i], strcspn(environ[i], "="));
		if (buf_str(&name) == NULL)
			_exit(126);
		if (strncmp(name.data, "PG", 2) != 0 &&
		    strcmp(name.data, "PHILOTES_SOURCE_URL") != 0 &&
		    strcmp(name.data, "PHILOTES_BUFFER_URL") != 0)
			i++;
		else if (unsetenv(name.data) != 0)
			_exit(126);
	}
	buf_release(&name);
}

static void
set_number(const char *name, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	setenv(name, text, 1);
}

static void
exec_child(const struct handler *h, const struct batch *b, struct view source,
    int input)
{
	struct buf name = BUF_INIT;

	setpgid(0, 0);
	stop_reset_signals();
	if (dup2(input, STDIN_FILENO) < 0)
		_exit(126);
	clean_environment();
	buf_addv(&name, source);
	if (buf_str(&name) != NULL)
		setenv("PHILOTES_BATCH_SOURCE", name.data, 1);
	set_number("PHILOTES_BATCH_FIRST_ID", (uint64_t)b->first_id);
	set_number("PHILOTES_BATCH_LAST_ID", (uint64_t)b->last_id);
	set_number("PHILOTES_BATCH_EVENTS", b->events);
	execvp(h->argv[0], h->argv);
	log_error("could not run \"%s\": %s", h->argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/* In the parent. */

static int
start(struct child *c, const struct handler *h, const struct batch *b,
    struct view source)
{
	int ends[2];

	if (pipe(ends) != 0)
		return failed("make a pipe for the handler");
	for (int i = 0; i < 2; i++)
		fcntl(ends[i], F_SETFD, FD_CLOEXEC);
	*c = (struct child){.unread = ends[0]};
	c->pid = fork();
	if (c->pid == 0)
		exec_child(h, b, source, ends[0]);
	fdio_out_init(&c->in, ends[1], "the handler's stdin");
	if (c->pid < 0) {
		close(ends[0]);
		fdio_out_close(&c->in);
		return failed("start the handler");
	}
	setpgid(c->pid, c->pid); /* whoever of us is first */
	if (h->timeout_ms > 0)
		c->deadline = clock_ms() + h->timeout_ms;
	buf_addv(&c->in.b, buf_view(&b->text));
	return EXIT_DONE;
}

static void
reap(struct child *c)
{
	pid_t got = waitpid(c->pid, &c->status, WNOHANG);

	c->ended = got == c->pid || (got < 0 && errno != EINTR);
}

static void
push(struct child *c)
{
	if (c->closed)
		return;
	if (fdio_out_flush(&c->in) != EXIT_DONE) {
		c->lost = true;
		c->closed = true;
	} else if (fdio_out_pending(&c->in) == 0) {
		c->closed = true;
	}
	if (c->closed)
		fdio_out_close(&c->in);
}

static void
enforce_deadline(struct child *c)
{
	if (stop_requested() && c->killed == 0 &&
	    (c->deadline == 0 || clock_left(c->deadline) > STOP_MS))
		c->deadline = clock_ms() + STOP_MS;
	if (c->deadline == 0 || clock_left(c->deadline) > 0)
		return;
	c->killed = c->killed == 0 ? SIGTERM : SIGKILL;
	kill(-c->pid, c->killed);
	c->deadline = clock_ms() + KILL_MS;
}

/* The child's end wakes us through SIGCHLD; between looking for it and waiting
 * the signal's byte is kept in the pipe. */
static void
attend(struct child *c)
{
	struct pollfd p[2] = {
	    {stop_fd(), POLLIN, 0}, {c->closed ? -1 : c->in.fd, POLLOUT, 0}};

	while (!c->ended) {
		push(c);
		p[1].fd = c->closed ? -1 : c->in.fd;
		enforce_deadline(c);
		if (poll(p, 2,
			c->deadline != 0 ? (int)clock_left(c->deadline) : -1) >
			0 &&
		    p[0].revents != 0)
			stop_drain();
		reap(c);
	}
}

/* Exit 0 alone is not enough: a handler that does not read its input has not
 * processed it. */
static bool
all_was_read(const struct child *c)
{
	int left = 0;

	return c->closed && !c->lost &&
	    ioctl(c->unread, FIONREAD, &left) == 0 && left == 0;
}

static enum handler_answer
judge(const struct child *c, const char *name)
{
	int code;

	if (c->killed != 0) {
		log_warning("handler \"%s\" did not end in time and was "
			    "killed",
		    name);
		return HANDLER_FAILED;
	}
	if (WIFSIGNALED(c->status)) {
		log_warning("handler \"%s\" was killed by signal %d", name,
		    WTERMSIG(c->status));
		return HANDLER_FAILED;
	}
	code = WEXITSTATUS(c->status);
	if (code == 0 && all_was_read(c))
		return HANDLER_PROCESSED;
	if (code == 0)
		log_warning("handler \"%s\" exited 0 without reading all of "
			    "the batch",
		    name);
	else
		log_warning("handler \"%s\" exited with %d", name, code);
	if (code == STATUS_LATER)
		return HANDLER_LATER;
	return code == 126 || code == 127 ? HANDLER_CANNOT : HANDLER_FAILED;
}

int
handler_run(const struct handler *h, const struct batch *b, struct view source,
    enum handler_answer *answer)
{
	struct child c;
	int rc = start(&c, h, b, source);

	if (rc != EXIT_DONE)
		return rc;
	attend(&c);
	*answer = judge(&c, h->argv[0]);
	close(c.unread);
	fdio_out_close(&c.in);
	return EXIT_DONE;
}
