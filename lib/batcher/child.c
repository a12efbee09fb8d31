#include "batcher/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/utf8.h"

#define KILL_MS    3000 /* between SIGTERM and SIGKILL */
#define EXIT_LATER 75

extern char **environ;

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
		_exit(EXIT_LATER);
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

/* The read end of stdin's pipe, the write ends of the others. */
static void
take_pipes(int in, int out, int err)
{
	if (dup2(in, STDIN_FILENO) < 0 ||
	    (out >= 0 && dup2(out, STDOUT_FILENO) < 0) ||
	    (err >= 0 && dup2(err, STDERR_FILENO) < 0))
		_exit(126);
}

static void
run(char *const *argv)
{
	execvp(argv[0], argv);
	log_error("could not run \"%s\": %s", argv[0], strerror(errno));
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

static void
close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

struct pipes {
	int in[2], out[2], err[2];
};

static bool
make_pipes(const struct child *c, struct pipes *p)
{
	*p = (struct pipes){{-1, -1}, {-1, -1}, {-1, -1}};
	if (make_pipe(p->in) && (!c->answers || make_pipe(p->out)) &&
	    (!c->keep_stderr || make_pipe(p->err)))
		return true;
	for (int i = 0; i < 2; i++) {
		close_end(&p->in[i]);
		close_end(&p->out[i]);
		close_end(&p->err[i]);
	}
	return false;
}

static void
keep_our_ends(struct child *c, struct pipes *p)
{
	c->unread = p->in[0];
	fdio_out_init(&c->in, p->in[1], "the handler's stdin");
	c->out = p->out[0];
	c->err = p->err[0];
	close_end(&p->out[1]);
	close_end(&p->err[1]);
	if (c->err >= 0)
		fcntl(c->err, F_SETFL, O_NONBLOCK);
}

int
child_start(struct child *c, void (*prepare)(const void *arg), const void *arg)
{
	struct pipes p;
	pid_t parent = getpid();
	int rc = guard_clear(c->guard); /* fails if it is gone */

	if (rc != EXIT_DONE)
		return rc;
	if (!make_pipes(c, &p))
		return failed("make a pipe for the handler");
	c->killed = 0;
	buf_clear(&c->tail);
	c->pid = fork();
	if (c->pid == 0) {
		tie_to(parent, c->guard);
		signals_reset();
		take_pipes(p.in[0], p.out[1], p.err[1]);
		clean_environment();
		prepare(arg);
		run(c->argv);
	}
	keep_our_ends(c, &p);
	if (c->pid < 0) {
		rc = failed("start the handler");
		close_end(&c->out);
		child_reap(c, true);
		return rc;
	}
	setpgid(c->pid, c->pid); /* the child does the same: no race */
	return EXIT_DONE;
}

bool
child_has_read(const struct child *c)
{
	int left = 0;

	return fdio_out_pending(&c->in) == 0 &&
	    ioctl(c->unread, FIONREAD, &left) == 0 && left == 0;
}

void
child_listen(struct child *c)
{
	char bytes[4096];
	ssize_t n = -1;

	while (c->pid != 0 && c->err >= 0 &&
	    (n = read(c->err, bytes, sizeof(bytes))) > 0) {
		for (ssize_t done = 0, w; done < n; done += w) {
			w = write(
			    STDERR_FILENO, bytes + done, (size_t)(n - done));
			if (w <= 0)
				break;
		}
		buf_add(&c->tail, bytes, (size_t)n);
		if (c->tail.len > CHILD_STDERR_MAX)
			buf_consume(&c->tail, c->tail.len - CHILD_STDERR_MAX);
	}
	if (n == 0)
		close_end(&c->err);
}

/* With WNOWAIT: until waitpid no other process or group can get the child's
 * number. */
bool
child_ended(const struct child *c, struct child_end *end)
{
	siginfo_t info = {.si_pid = 0};

	if (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) !=
		0 ||
	    info.si_pid != c->pid)
		return false;
	end->code = info.si_code == CLD_EXITED ? info.si_status
					       : -info.si_status;
	end->killed = c->killed != 0;
	return true;
}

void
child_reap(struct child *c, bool good)
{
	if (c->pid > 0) {
		child_listen(c);
		if (!good)
			kill(-c->pid, SIGKILL);
		guard_clear(c->guard);
		waitpid(c->pid, NULL, 0);
	}
	c->pid = 0;
	fdio_out_close(&c->in);
	close_end(&c->unread);
	close_end(&c->err);
}

void
child_kill(struct child *c)
{
	if (c->killed != 0 && clock_left(c->kill_at) > 0)
		return;
	c->killed = c->killed == 0 ? SIGTERM : SIGKILL;
	kill(-c->pid, c->killed);
	c->kill_at = clock_ms() + KILL_MS;
}

void
child_tidy(struct child *c)
{
	struct buf *tail = &c->tail;
	const char *end;

	if (tail->len == CHILD_STDERR_MAX &&
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

void
child_release(struct child *c)
{
	buf_release(&c->tail);
}
