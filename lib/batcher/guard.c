#define _GNU_SOURCE /* close_range */
#include "batcher/guard.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/log.h"

extern char **environ;

#define GONE_MS 5000 /* for a killed group to be gone */
#define LOOK_US 2000 /* between looks */

static int
failed(const char *what)
{
	log_error("could not %s: %s", what, strerror(errno));
	return EXIT_OS;
}

/* The guard's side */

/* Reads /proc/PID/stat, "PID (NAME) STATE PARENT GROUP ...".  A zombie does not
 * count: it is dead. */
static bool
is_live_member(const char *pid, pid_t group)
{
	char path[300], text[512];
	const char *name_end;
	ssize_t n;
	char state;
	int fd, its_group;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	fd = open(path, O_RDONLY);
	n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	name_end = strrchr(text, ')');
	return name_end != NULL &&
	    sscanf(name_end, ") %c %*d %d", &state, &its_group) == 2 &&
	    its_group == group && state != 'Z' && state != 'X';
}

static bool
group_lives(pid_t group)
{
	DIR *dir = opendir("/proc");
	const struct dirent *entry;
	bool found = false;

	while (!found && dir != NULL && (entry = readdir(dir)) != NULL)
		found = is_live_member(entry->d_name, group);
	if (dir != NULL)
		closedir(dir);
	return found;
}

static void
end_group(pid_t group)
{
	int64_t until = clock_ms() + GONE_MS;

	if (kill(-group, SIGKILL) != 0)
		return;
	while (group_lives(group) && clock_left(until) > 0)
		clock_doze_us(LOOK_US);
}

/* The pipe becomes descriptor 0, keep_fd 1. */
static void
keep_only(int pipe_fd, int keep_fd)
{
	int kept = fcntl(keep_fd, F_DUPFD, 2);

	dup2(pipe_fd, 0);
	if (kept >= 0)
		dup2(kept, 1);
	if (close_range(kept >= 0 ? 2 : 1, ~0U, 0) == 0)
		return;
	for (int fd = 2; fd < 1024; fd++)
		close(fd);
}

static void
stand_by(int pipe_fd, int keep_fd)
{
	static const int signals[] = {
	    SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGCHLD, SIGPIPE};
	pid_t group = 0, said;
	ssize_t n;

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		signal(signals[i], SIG_IGN);
	setsid();
	/* wipe the secrets that it does not need */
	for (char **var = environ; *var != NULL; var++)
		memset(*var, 0, strlen(*var));
	prctl(PR_SET_NAME, "handler-guard");
	keep_only(pipe_fd, keep_fd);
	while ((n = read(0, &said, sizeof(said))) != 0) {
		if (n == sizeof(said))
			group = said;
		else if (errno != EINTR)
			break;
	}
	if (group > 0)
		end_group(group);
	_exit(0);
}

/* Our side */

int
guard_start(struct guard *g, int keep_fd)
{
	int ends[2];

	g->fd = -1;
	if (pipe(ends) != 0)
		return failed("make a pipe for the handler's guard");
	for (int i = 0; i < 2; i++)
		fcntl(ends[i], F_SETFD, FD_CLOEXEC);
	g->pid = fork();
	if (g->pid == 0) {
		close(ends[1]);
		stand_by(ends[0], keep_fd);
	}
	close(ends[0]);
	g->fd = ends[1];
	return g->pid < 0 ? failed("start the handler's guard") : EXIT_DONE;
}

/* Less than PIPE_BUF, so it is written as a whole or not at all. */
static bool
tell(const struct guard *g, pid_t group)
{
	ssize_t n;

	do
		n = write(g->fd, &group, sizeof(group));
	while (n < 0 && errno == EINTR);
	return n == sizeof(group);
}

bool
guard_join(const struct guard *g)
{
	return tell(g, getpid());
}

int
guard_clear(const struct guard *g)
{
	return tell(g, 0) ? EXIT_DONE : failed("reach the handler's guard");
}

void
guard_end(struct guard *g)
{
	if (g->fd < 0)
		return;
	close(g->fd);
	g->fd = -1;
	while (waitpid(g->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
}
