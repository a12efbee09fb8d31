/*
 * measure FILE COMMAND [ARG ...]: runs the command, exits with its exit status
 * (128 plus the signal's number if it was killed), and writes a line to FILE:
 *
 *	wall-seconds user-seconds system-seconds peak-rss-KiB status
 *
 * The figures include the command's children that it has waited for.  The peak
 * is that of the largest process; this program is small when it forks, so it
 * does not count.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double
seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static int
report(const char *file, double wall, int status)
{
	struct rusage r;
	FILE *f = fopen(file, "w");

	if (f == NULL || getrusage(RUSAGE_CHILDREN, &r) != 0) {
		fprintf(stderr, "measure: error: could not write \"%s\": %s\n",
		    file, strerror(errno));
		return 74;
	}
	fprintf(f, "%.6f %.6f %.6f %ld %d\n", wall, seconds(r.ru_utime),
	    seconds(r.ru_stime), r.ru_maxrss, status);
	return fclose(f) == 0 ? status : 74;
}

int
main(int argc, char **argv)
{
	double started = now();
	int status;
	pid_t pid;

	if (argc < 3) {
		fputs("usage: measure FILE COMMAND [ARG ...]\n", stderr);
		return 64;
	}
	pid = fork();
	if (pid == 0) {
		execvp(argv[2], argv + 2);
		fprintf(stderr, "measure: error: could not run \"%s\": %s\n",
		    argv[2], strerror(errno));
		_exit(127);
	}
	/* only the command may hold the ends of the pipe */
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		fprintf(stderr, "measure: error: could not run \"%s\": %s\n",
		    argv[2], strerror(errno));
		return 71;
	}
	status = WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				     : WEXITSTATUS(status);
	return report(argv[1], now() - started, status);
}
