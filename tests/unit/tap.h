/*
 * Just enough of TAP, the Test Anything Protocol, for a driver with one main():
 * any number of checks, then return done_testing().
 */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/view.h"

static int tap_run, tap_failed;

static inline void
tap_name(const char *fmt, va_list ap)
{
	char name[200];

	vsnprintf(name, sizeof(name), fmt, ap);
	for (char *p = name; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == '#')
			*p = '?';
	printf(" %d - %s\n", tap_run, name);
}

static inline bool
tap_check(bool good, const char *fmt, va_list ap)
{
	tap_run++;
	tap_failed += !good;
	fputs(good ? "ok" : "not ok", stdout);
	tap_name(fmt, ap);
	return good;
}

static inline void
tap_show(const char *label, struct view v)
{
	printf("# %s: ", label);
	if (v.p == NULL)
		printf("(null)");
	for (size_t i = 0; i < v.n && i < 300; i++) {
		unsigned char c = (unsigned char)v.p[i];

		if (c < 0x20 || c == 0x7f)
			printf("\\x%02x", c);
		else
			putchar(c);
	}
	printf("%s\n", v.n > 300 ? "..." : "");
}

/* Passes if good. */
static inline bool __attribute__((format(printf, 2, 3)))
ok(bool good, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tap_check(good, fmt, ap);
	va_end(ap);
	return good;
}

/* Passes if both are the same bytes, or null. */
static inline bool __attribute__((format(printf, 3, 4)))
is_view(struct view got, struct view wanted, const char *fmt, ...)
{
	bool good = view_eq(got, wanted);
	va_list ap;

	va_start(ap, fmt);
	tap_check(good, fmt, ap);
	va_end(ap);
	if (!good) {
		tap_show("got   ", got);
		tap_show("wanted", wanted);
	}
	return good;
}

#define is_str(got, wanted, ...) \
	is_view(view_of(got), view_of(wanted), __VA_ARGS__)

/* Prints the plan; returns main's exit status. */
static inline int
done_testing(void)
{
	printf("1..%d\n", tap_run);
	if (tap_failed > 0)
		printf("# %d of %d failed\n", tap_failed, tap_run);
	return tap_failed > 0 || fflush(stdout) != 0;
}

#endif
