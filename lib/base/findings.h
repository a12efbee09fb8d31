/*
 * What a tool's --check has found.  A finding is a line on stdout, its hint on
 * a line of its own below it:
 *
 *   ERROR    slot         could not use the replication slot "x": it is lost
 *                         Changes are missing.  …
 *
 * or, with the log in JSON, one object:
 *
 *   {"check":"slot","result":"error","code":69,"message":"…","hint":"…"}
 *
 * scripts/lib/check.sh prints the same forms.
 */
#ifndef FINDINGS_H
#define FINDINGS_H

#include "base/log.h"

enum finding_level { FINDING_OK, FINDING_WARNING, FINDING_ERROR };

struct finding {
	const char *check; /* what was looked at: "slot" */
	enum finding_level level;
	int code;         /* of an error: the exit code that it leads to */
	const char *hint; /* a sentence, or NULL */
};

/* Zero-initialise.  To print findings call findings_begin; without it only the
 * first error is logged, with its hint. */
struct findings {
	bool printed;
	int rc;        /* the code of the first error */
	int unwritten; /* errno of a failed write to stdout, or 0 */
	struct log_kept logged;
};

void findings_begin(struct findings *all);

/* Adds a finding, its text as in printf.  The first error is logged, too. */
void findings_add(struct findings *all, const struct finding *f,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Adds the error that was logged last, with its hints. */
void findings_add_logged(struct findings *all, const char *check, int code);

/* Returns the code of the first error, or EXIT_IO if stdout failed. */
int findings_end(struct findings *all);

#endif
