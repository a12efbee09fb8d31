#define _GNU_SOURCE /* F_SETPIPE_SZ */
#include "base/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "base/signals.h"

#define PIPE_BYTES (1024 * 1024)

void
fdio_out_init(struct fdio_out *o, int fd, const char *name)
{
	struct stat st;

	*o = (struct fdio_out){.fd = fd, .name = name, .flags = -1};
	if (fstat(fd, &st) != 0)
		return;
#ifdef F_SETPIPE_SZ
	if (S_ISFIFO(st.st_mode))
		fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES);
#endif
	if (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)) {
		o->flags = fcntl(fd, F_GETFL);
		if (o->flags >= 0)
			fcntl(fd, F_SETFL, o->flags | O_NONBLOCK);
	}
}

static int
failed(const struct fdio_out *o)
{
	log_error("could not write \"%s\": %s", o->name, strerror(errno));
	return EXIT_IO;
}

int
fdio_out_flush(struct fdio_out *o)
{
	if (o->b.failed) {
		log_error("could not write \"%s\": out of memory", o->name);
		return EXIT_OS;
	}
	while (fdio_out_pending(o) > 0) {
		ssize_t n = write(
		    o->fd, o->b.data + o->done, fdio_out_pending(o));

		if (n >= 0)
			o->done += (size_t)n;
		else if (errno == EAGAIN)
			break;
		else if (errno != EINTR)
			return failed(o);
		else if (signals_stop_requested())
			break;
	}
	if (fdio_out_pending(o) == 0) {
		buf_clear(&o->b);
		o->done = 0;
	}
	return EXIT_DONE;
}

int
fdio_out_drain(struct fdio_out *o, int64_t grace_ms)
{
	int rc = fdio_out_flush(o);
	int64_t until = 0;
	size_t before;

	while (rc == EXIT_DONE && fdio_out_pending(o) > 0) {
		if (signals_stop_requested() && until == 0)
			until = clock_ms() + grace_ms;
		before = fdio_out_pending(o);
		fdio_wait(o->fd, POLLOUT, until != 0 ? clock_left(until) : -1);
		rc = fdio_out_flush(o);
		if (fdio_out_pending(o) < before) {
			until = 0;
		} else if (until != 0 && clock_left(until) == 0) {
			log_error("could not write \"%s\": stopped while it "
				  "was blocked",
			    o->name);
			return EXIT_RETRY;
		}
	}
	return rc;
}

int
fdio_out_close(struct fdio_out *o)
{
	int rc = EXIT_DONE;

	if (o->fd < 0)
		return rc;
	if (o->flags >= 0)
		fcntl(o->fd, F_SETFL, o->flags);
	if (close(o->fd) != 0 && errno != EINTR)
		rc = failed(o);
	o->fd = -1;
	buf_release(&o->b);
	o->done = 0;
	return rc;
}

short
fdio_wait(int fd, short events, int64_t timeout_ms)
{
	struct pollfd p[2] = {{fd, events, 0}, {signals_fd(), POLLIN, 0}};
	/* a stop that was requested before must not end this wait */
	nfds_t n = signals_stop_requested() ? 1 : 2;

	if (timeout_ms > INT_MAX)
		timeout_ms = INT_MAX;
	if (poll(p, n, (int)timeout_ms) <= 0)
		return 0;
	if (p[1].revents != 0)
		signals_drain();
	return p[0].revents;
}

void
fdio_pause(int64_t ms)
{
	int64_t until = clock_ms() + ms;

	/* SIGCHLD ends fdio_wait, too */
	while (!signals_stop_requested() && clock_left(until) > 0)
		fdio_wait(-1, 0, clock_left(until));
}
