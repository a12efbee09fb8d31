/*
 * LD_PRELOAD: makes time run 30 times as fast, so that a time limit of a minute
 * is tested in two seconds.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FACTOR 30

int
clock_gettime(clockid_t id, struct timespec *t)
{
	long long ns;
	int rc = (int)syscall(SYS_clock_gettime, id, t);

	if (rc != 0 || id != CLOCK_MONOTONIC)
		return rc;
	ns = (t->tv_sec * 1000000000LL + t->tv_nsec) * FACTOR;
	t->tv_sec = (time_t)(ns / 1000000000LL);
	t->tv_nsec = (long)(ns % 1000000000LL);
	return rc;
}

int
poll(struct pollfd *p, nfds_t n, int timeout)
{
	struct timespec t = {
	    timeout / FACTOR / 1000, (long)(timeout / FACTOR % 1000) * 1000000};

	return ppoll(p, n, timeout < 0 ? NULL : &t, NULL);
}

/* What poll is with _FORTIFY_SOURCE if the number of descriptors varies. */
int __poll_chk(struct pollfd *p, nfds_t n, int timeout, size_t size);

int
__poll_chk(struct pollfd *p, nfds_t n, int timeout, size_t size)
{
	(void)size;
	return poll(p, n, timeout);
}
