/*
 * Options: each tool has one table, from which its flags, environment variables
 * and --help are made.  A flag overrides the variable, and the variable
 * overrides the default, which is the value that the destination holds before.
 */
#ifndef OPTS_H
#define OPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum opt_kind {
	OPT_FLAG,     /* bool *; its variable is true or false */
	OPT_TEXT,     /* const char **; not empty */
	OPT_LIST,     /* struct opt_list *; may be given repeatedly */
	OPT_COUNT,    /* uint64_t *; from min to 2147483647 */
	OPT_DURATION, /* int64_t *, milliseconds */
	OPT_CHOICE,   /* int *: the index of the word in choices */
};

#define OPT_LIST_MAX 64

struct opt_list {
	const char *item[OPT_LIST_MAX];
	size_t n;
};

struct opt {
	char letter; /* 0: there is only the long name */
	const char *name;
	const char *arg; /* name of the argument in --help; NULL: it has none */
	enum opt_kind kind;
	void *dest;
	const char *env; /* NULL: none */
	const char *help;
	uint64_t min;
	const char *const *choices; /* ends with NULL */
};

struct opts {
	const char *tool;
	const char *synopsis; /* lines after "usage: " */
	const char *about;    /* one sentence */
	const struct opt *table;
	size_t n;
	const int *codes; /* exit codes other than 0; ends with 0 */
};

/*
 * Reads environment and flags into the destinations and configures the log;
 * --help and --version print to stdout.  True: go on; argv[*rest] is the first
 * argument that is not an option.  False: end with *rc; an error has been
 * logged.  After an error the remaining flags are still read, so that their
 * destinations are set.
 */
bool opts_parse(
    const struct opts *o, int argc, char **argv, int *rest, int *rc);

/* The beginning of main: log_init, signals_init, opts_parse. */
bool opts_start(
    const struct opts *o, int argc, char **argv, int *rest, int *rc);

/*
 * Did a flag set the option with this destination?  False if only its variable
 * did, which may be meant for another use of the tool.  After opts_parse.
 */
bool opts_given(const struct opts *o, const void *dest);

/* Logs a usage error and the way to --help; returns EXIT_USAGE. */
int opts_usage(const struct opts *o, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The same for an unexpected argument.  The message does not show it if it may
 * be a connection string, since that may hold a password. */
int opts_extra(const struct opts *o, const char *arg);

#endif
