/*
 * LD_PRELOAD: a wall clock that is wrong by the seconds in the file CLOCK_FILE,
 * 12 characters that may change at any time.  The monotonic clock stays right.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define LEN 12

static long
offset(void)
{
	static const char *map;
	char text[LEN + 1] = "";

	if (map == NULL) {
		const char *path = getenv("CLOCK_FILE");
		int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
		void *p = fd >= 0
		    ? mmap(NULL, LEN, PROT_READ, MAP_SHARED, fd, 0)
		    : MAP_FAILED;

		if (fd >= 0)
			close(fd);
		map = p != MAP_FAILED ? p : "0           ";
	}
	for (int i = 0; i < LEN; i++)
		text[i] = map[i];
	return strtol(text, NULL, 10);
}

int
clock_gettime(clockid_t id, struct timespec *t)
{
	int rc = (int)syscall(SYS_clock_gettime, id, t);

	if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		t->tv_sec += offset();
	return rc;
}

int
gettimeofday(struct timeval *restrict t, void *restrict zone)
{
	struct timespec now;
	int rc = clock_gettime(CLOCK_REALTIME, &now);

	(void)zone;
	t->tv_sec = now.tv_sec;
	t->tv_usec = now.tv_nsec / 1000;
	return rc;
}

time_t
time(time_t *t)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (t != NULL)
		*t = now.tv_sec;
	return now.tv_sec;
}
