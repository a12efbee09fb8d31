#include "stream/ack.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/exitcode.h"
#include "base/log.h"
#include "base/num.h"
#include "base/signals.h"

#define LINE_MAX_BYTES 4096
#define PATIENCE_S     5 /* before we log that open() still waits */

static const char make_fifo[] =
    "Make a FIFO of that name with mkfifo, for the consumer to write to.";

static int
failed(const char *verb, const char *path)
{
	log_error("could not %s \"%s\": %s", verb, path, strerror(errno));
	if (errno == ENOENT)
		log_hint("%s", make_fifo);
	return EXIT_IO;
}

/* SIGALRM only has to interrupt open(). */
static void
on_alarm(int sig)
{
	(void)sig;
}

static int
open_fifo(const char *path)
{
	struct sigaction action = {.sa_handler = on_alarm}, before;
	int fd;

	sigemptyset(&action.sa_mask);
	sigaction(SIGALRM, &action, &before);
	alarm(PATIENCE_S);
	while ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0 && errno == EINTR &&
	    !signals_stop_requested())
		log_warning("waiting for a writer of \"%s\"", path);
	alarm(0);
	sigaction(SIGALRM, &before, NULL);
	return fd;
}

/* The N of /dev/fd/N, or -1. */
static int
inherited(const char *path)
{
	uint64_t n;

	if (strncmp(path, "/dev/fd/", 8) != 0 ||
	    !num_parse_u64(view_of(path + 8), &n) || n > INT32_MAX)
		return -1;
	return (int)n;
}

int
ack_channel_take(struct ack_channel *c, int fd, const char *name)
{
	int flags = fcntl(fd, F_GETFL);

	*c = (struct ack_channel){.fd = fd, .name = name};
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
		return failed("set up", name);
	line_init(&c->lines, fd, LINE_MAX_BYTES);
	return EXIT_DONE;
}

int
ack_channel_open(struct ack_channel *c, const char *path)
{
	struct stat st;

	*c = (struct ack_channel){.name = path};
	c->fd = inherited(path);
	if (c->fd < 0)
		c->fd = open_fifo(path);
	if (c->fd < 0 && errno == EINTR) {
		log_error("could not open \"%s\": stopped while waiting for "
			  "its writer",
		    path);
		return EXIT_RETRY;
	}
	if (c->fd < 0 || fstat(c->fd, &st) != 0)
		return failed("open", path);
	if (!S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode)) {
		log_error("could not use \"%s\" for acks: neither a FIFO, a "
			  "pipe nor a socket",
		    path);
		log_hint("%s", make_fifo);
		return EXIT_CONFIG;
	}
	return ack_channel_take(c, c->fd, path);
}

int
ack_channel_next(struct ack_channel *c, struct view *position)
{
	*position = VIEW_NULL;
	switch (line_next(&c->lines, position)) {
	case LINE_READY:
		return EXIT_DONE;
	case LINE_CUT: /* the writer died in mid-line: ignore the fragment */
	case LINE_EOF:
		c->eof = true;
		/* FALLTHROUGH */
	case LINE_DRY:
		*position = VIEW_NULL;
		return EXIT_DONE;
	case LINE_LONG:
		log_error("could not use an ack from \"%s\": longer than %d "
			  "bytes",
		    c->name, LINE_MAX_BYTES);
		return EXIT_PROTOCOL;
	case LINE_ERROR:
		break;
	}
	return failed("read", c->name);
}

void
ack_channel_close(struct ack_channel *c)
{
	line_release(&c->lines);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

int
ack_refuse(
    const struct ack_channel *c, struct view position, const char *reason)
{
	/* the line may be an event, whose values must not be logged */
	if (position.n > 20)
		position.n = 20;
	log_error("could not use the ack \"%.*s\" from \"%s\": %s",
	    VIEW_FMT(position), c->name, reason);
	return EXIT_PROTOCOL;
}

void
ack_sent(struct ack_window *w, uint64_t position)
{
	w->sent[(w->first + w->n) % ACK_WINDOW] = position;
	w->n++;
}

enum ack_status
ack_received(struct ack_window *w, uint64_t position, size_t *popped)
{
	for (size_t i = 0; i < w->n; i++) {
		if (w->sent[(w->first + i) % ACK_WINDOW] != position)
			continue;
		w->first = (w->first + i + 1) % ACK_WINDOW;
		w->n -= i + 1;
		if (position > w->acked)
			w->acked = position;
		*popped = i + 1;
		return ACK_NEW;
	}
	return position <= w->acked ? ACK_OLD : ACK_UNKNOWN;
}
