#include "base/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/exitcode.h"
#include "base/log.h"

static volatile sig_atomic_t requested;
static int wake[2] = {-1, -1};

static void
on_signal(int sig)
{
	int saved = errno;

	if (sig != SIGCHLD)
		requested = 1;
	/* a full pipe is readable without another byte */
	if (write(wake[1], "", 1) < 0)
		errno = saved;
	errno = saved;
}

static int
failed(const char *what)
{
	log_error("could not %s: %s", what, strerror(errno));
	return EXIT_OS;
}

static int
open_wake_pipe(void)
{
	if (pipe(wake) != 0)
		return failed("make a pipe for signals");
	for (int i = 0; i < 2; i++) {
		if (fcntl(wake[i], F_SETFD, FD_CLOEXEC) != 0 ||
		    fcntl(wake[i], F_SETFL, O_NONBLOCK) != 0)
			return failed("set up the pipe for signals");
	}
	return EXIT_DONE;
}

int
signals_init(void)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGCHLD};
	struct sigaction action;
	int fd, rc;

	/* a closed standard descriptor stays unusable: reading from 0 fails,
	 * and so does writing to 1 or 2 */
	for (fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) < 0 &&
		    open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
			return failed("open \"/dev/null\"");
	}
	rc = open_wake_pipe();
	if (rc != EXIT_DONE)
		return rc;
	memset(&action, 0, sizeof(action));
	sigemptyset(&action.sa_mask);
	/* no SA_RESTART: a signal must interrupt a blocking open(2) */
	action.sa_handler = on_signal;
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		if (sigaction(signals[i], &action, NULL) != 0)
			return failed("handle signals");
	}
	action.sa_handler = SIG_IGN;
	if (sigaction(SIGPIPE, &action, NULL) != 0)
		return failed("ignore SIGPIPE");
	return EXIT_DONE;
}

bool
signals_stop_requested(void)
{
	return requested != 0;
}

int
signals_fd(void)
{
	return wake[0];
}

void
signals_drain(void)
{
	char bytes[64];

	while (read(wake[0], bytes, sizeof(bytes)) > 0)
		continue;
}

void
signals_reset(void)
{
	static const int signals[] = {
	    SIGTERM, SIGINT, SIGQUIT, SIGCHLD, SIGPIPE};
	struct sigaction action;
	sigset_t none;

	memset(&action, 0, sizeof(action));
	action.sa_handler = SIG_DFL;
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaction(signals[i], &action, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}
