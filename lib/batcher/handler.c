#include "batcher/handler.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/utf8.h"

/* together less than the supervisor waits for us to stop */
#define STOP_MS      5000 /* for the handler to end after a stop request */
#define KILL_MS      3000 /* between SIGTERM and SIGKILL */
#define STATUS_LATER 75
#define BLIND_MS     100 /* between polls of a child without a connection */
#define PIECE        (64 * 1024) /* of the batch, queued at a time */

extern char **environ;

struct child {
	const struct guard *guard;
	pid_t pid;
	int unread; /* our copy of stdin's read end: counts unread bytes */
	struct fdio_out in;
	bool closed; /* all was written, or writing failed */
	bool lost;   /* writing failed */
	bool ended;
	size_t queued;    /* bytes of the batch, so far */
	int err;          /* a pipe from its stderr; -1: it has ours */
	struct buf *tail; /* the end of what came from err */
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

/* In the child */

/* Makes a process group that does not outlive our parent.  The guard sees to
 * that; the signal is for the case that the guard is killed, too (exec of a
 * set-uid program clears it). */
static void
tie_to(pid_t parent, const struct guard *guard)
{
	setpgid(0, 0);
	if (!guard_join(guard) || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 ||
	    getppid() != parent)
		_exit(STATUS_LATER);
}

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
    int input, int err)
{
	struct buf name = BUF_INIT;

	signals_reset();
	if (dup2(input, STDIN_FILENO) < 0 ||
	    (err >= 0 && dup2(err, STDERR_FILENO) < 0))
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

/* In the parent */

static bool
make_pipe(int ends[2])
{
	if (pipe(ends) != 0)
		return false;
	for (int i = 0; i < 2; i++)
		fcntl(ends[i], F_SETFD, FD_CLOEXEC);
	return true;
}

static int
start(struct child *c, const struct handler *h, const struct batch *b,
    struct view source)
{
	int in[2], err[2] = {-1, -1};
	pid_t parent = getpid();
	int rc = guard_clear(&h->guard); /* fails if it is gone */

	if (rc != EXIT_DONE)
		return rc;
	if (!make_pipe(in))
		return failed("make a pipe for the handler");
	if (h->keep_stderr && !make_pipe(err)) {
		close(in[0]);
		close(in[1]);
		return failed("make a pipe for the handler");
	}
	c->unread = in[0];
	c->err = err[0];
	c->pid = fork();
	if (c->pid == 0) {
		tie_to(parent, &h->guard);
		exec_child(h, b, source, in[0], err[1]);
	}
	fdio_out_init(&c->in, in[1], "the handler's stdin");
	if (err[1] >= 0) {
		close(err[1]);
		fcntl(err[0], F_SETFL, O_NONBLOCK);
	}
	if (c->pid < 0)
		return failed("start the handler");
	setpgid(c->pid, c->pid); /* the child does the same: no race */
	if (h->timeout_ms > 0)
		c->deadline = clock_ms() + h->timeout_ms;
	return EXIT_DONE;
}

/* Exit 0 alone is not enough: a handler that does not read all of its input has
 * not processed it. */
static bool
all_was_read(const struct child *c)
{
	int left = 0;

	return c->closed && !c->lost &&
	    ioctl(c->unread, FIONREAD, &left) == 0 && left == 0;
}

/* Looks with WNOWAIT first: until waitpid no other process or group can get the
 * child's number. */
static void
reap(struct child *c)
{
	siginfo_t info = {.si_pid = 0};
	bool good;

	if (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) !=
		0 ||
	    info.si_pid != c->pid)
		return;
	c->ended = true;
	good = c->killed == 0 && info.si_code == CLD_EXITED &&
	    info.si_status == 0 && all_was_read(c);
	/* kill its leftovers before the next attempt */
	if (!good)
		kill(-c->pid, SIGKILL);
	guard_clear(c->guard);
	waitpid(c->pid, &c->status, 0);
}

/* Queues the batch piece by piece: each wait may move the queue it is in. */
static void
push(struct child *c, struct view batch)
{
	size_t n;

	while (!c->closed) {
		if (fdio_out_flush(&c->in) != EXIT_DONE)
			c->lost = true;
		else if (fdio_out_pending(&c->in) > 0)
			return;
		n = batch.n - c->queued < PIECE ? batch.n - c->queued : PIECE;
		buf_add(&c->in.b, batch.p + c->queued, n);
		c->queued += n;
		c->closed = c->lost || n == 0;
	}
	fdio_out_close(&c->in);
}

/* Copies the child's stderr to ours, and keeps the end of it. */
static void
listen_to(struct child *c)
{
	char bytes[4096];
	ssize_t n = -1;

	while (c->err >= 0 && (n = read(c->err, bytes, sizeof(bytes))) > 0) {
		for (ssize_t done = 0, w; done < n; done += w) {
			w = write(
			    STDERR_FILENO, bytes + done, (size_t)(n - done));
			if (w <= 0)
				break;
		}
		buf_add(c->tail, bytes, (size_t)n);
		if (c->tail->len > HANDLER_STDERR_MAX)
			buf_consume(c->tail, c->tail->len - HANDLER_STDERR_MAX);
	}
	if (c->err >= 0 && n == 0) {
		close(c->err);
		c->err = -1;
	}
}

/* Cuts to whole lines; replaces what is not valid text. */
static void
tidy(struct buf *tail)
{
	const char *end;

	if (tail->len == HANDLER_STDERR_MAX &&
	    (end = memchr(tail->data, '\n', tail->len - 1)) != NULL)
		buf_consume(tail, (size_t)(end + 1 - tail->data));
	for (size_t i = 0; i < tail->len; i++) {
		if (tail->data[i] == '\0')
			tail->data[i] = '?';
	}
	if (utf8_valid(buf_view(tail)))
		return;
	for (size_t i = 0; i < tail->len; i++) {
		if ((unsigned char)tail->data[i] >= 0x80)
			tail->data[i] = '?';
	}
}

static void
enforce_deadline(struct child *c)
{
	if (signals_stop_requested() && c->killed == 0 &&
	    (c->deadline == 0 || clock_left(c->deadline) > STOP_MS))
		c->deadline = clock_ms() + STOP_MS;
	if (c->deadline == 0 || clock_left(c->deadline) > 0)
		return;
	c->killed = c->killed == 0 ? SIGTERM : SIGKILL;
	kill(-c->pid, c->killed);
	c->deadline = clock_ms() + KILL_MS;
}

/* Feeds the child until it ends.  SIGCHLD wakes the wait; one that arrives
 * before the wait leaves a byte in the signal pipe, so it is not missed. */
static int
attend(struct child *c, struct prefetch *p, const struct batch_queue *q,
    const struct batch *b)
{
	struct pollfd fds[2];
	int rc = EXIT_DONE;

	while (!c->ended) {
		push(c, batch_text(q, b));
		listen_to(c);
		fds[0] = (struct pollfd){c->closed ? -1 : c->in.fd, POLLOUT, 0};
		fds[1] = (struct pollfd){c->err, POLLIN, 0};
		enforce_deadline(c);
		/* report a lost connection after the child has ended */
		if (rc == EXIT_DONE)
			rc = prefetch_wait(p, fds, 2,
			    c->deadline != 0 ? clock_left(c->deadline) : -1);
		else
			poll(fds, 2, BLIND_MS);
		reap(c);
	}
	listen_to(c);
	tidy(c->tail);
	return rc;
}

static void
judge(const struct child *c, const char *name, struct handler_result *r)
{
	int code = WIFSIGNALED(c->status) ? -1 : WEXITSTATUS(c->status);

	r->answer = HANDLER_FAILED;
	if (c->killed != 0) {
		snprintf(r->status, sizeof(r->status), "timeout");
		log_warning("handler \"%s\" did not end in time and was "
			    "killed",
		    name);
	} else if (code < 0) {
		snprintf(r->status, sizeof(r->status), "signal %d",
		    WTERMSIG(c->status));
		log_warning("handler \"%s\" was killed by signal %d", name,
		    WTERMSIG(c->status));
	} else if (code != 0) {
		snprintf(r->status, sizeof(r->status), "exit %d", code);
		log_warning("handler \"%s\" exited with %d", name, code);
	} else if (!all_was_read(c)) {
		snprintf(
		    r->status, sizeof(r->status), "exit 0, input not read");
		log_warning("handler \"%s\" exited 0 without reading all of "
			    "the batch",
		    name);
	} else {
		r->answer = HANDLER_PROCESSED;
	}
	if (code == STATUS_LATER && c->killed == 0)
		r->answer = HANDLER_LATER;
	if ((code == 126 || code == 127) && c->killed == 0)
		r->answer = HANDLER_CANNOT;
}

int
handler_run(const struct handler *h, struct prefetch *p,
    const struct batch_queue *q, const struct batch *b, struct view source,
    struct handler_result *r)
{
	struct child c = {.guard = &h->guard,
	    .unread = -1,
	    .in.fd = -1,
	    .err = -1,
	    .tail = &r->stderr_tail};
	int rc = start(&c, h, b, source);

	buf_clear(&r->stderr_tail);
	if (rc == EXIT_DONE) {
		rc = attend(&c, p, q, b);
		judge(&c, h->argv[0], r);
	}
	close(c.unread);
	if (c.err >= 0)
		close(c.err);
	fdio_out_close(&c.in);
	return rc;
}
