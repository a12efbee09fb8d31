/*
 * The exit codes of every tool, with the numbers of sysexits.h.  They tell a
 * supervisor what to do: EXIT_OS, EXIT_IO and EXIT_RETRY are worth a restart,
 * the others need a person.
 *
 * Throughout lib/, a function documented as returning an exit code returns
 * EXIT_DONE or the code that the process should end with.  In the latter case
 * the function that knew the object's name has logged the error, and callers
 * only pass the code on.
 */
#ifndef EXITCODE_H
#define EXITCODE_H

enum exitcode {
	EXIT_DONE = 0,
	EXIT_USAGE = 64,    /* wrong flags */
	EXIT_DATA = 65,     /* input that can never be accepted */
	EXIT_OPERATOR = 69, /* slot missing or lost, gap, other cluster */
	EXIT_BUG = 70,      /* broken invariant */
	EXIT_OS = 71,       /* out of an OS resource */
	EXIT_IO = 74,       /* stdin, stdout, files, EOF of acks */
	EXIT_RETRY = 75,    /* try again */
	EXIT_PROTOCOL = 76, /* bad pgoutput, bad ack */
	EXIT_NOPERM = 77,   /* permission, authentication */
	EXIT_CONFIG = 78,   /* settings, database, schema, publication */
};

#endif
