/*
 * The conditions for reading the source.  A reader checks them when it starts,
 * and --check reports the same findings, so both end with the same exit code.
 */
#ifndef PREFLIGHT_H
#define PREFLIGHT_H

#include "pg/pg.h"

enum finding_level { FINDING_OK, FINDING_WARNING, FINDING_ERROR };

struct finding {
	const char *check; /* the subject: "slot" */
	enum finding_level level;
	int code;         /* of an error: the reader's exit code */
	bool logged;      /* the error was logged before */
	struct view text; /* the finding; of an error, the message */
	const char *hint; /* a sentence, or NULL */
};

/* Zero-initialise and set the first four. */
struct preflight {
	const char *slot;
	const char *publication;
	void (*report)(void *arg, const struct finding *f);
	void *arg;
	int rc; /* the code of the first error */
};

/* Reports a finding, whose text is made of fmt as by printf. */
void preflight_found(struct preflight *p, const struct finding *f,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * Checks the server's version and wal_level, the slot and the publication, and
 * reports on each.  *confirmed is the slot's confirmed_flush_lsn.  Returns the
 * code of the first error: EXIT_OPERATOR if the slot is missing or lost;
 * EXIT_CONFIG if it is of another plugin or database, if the publication is
 * missing, or if wal_level is not logical; EXIT_RETRY if another process reads
 * the slot or it is still being created.
 */
int preflight_look(struct preflight *p, struct pg *pg, uint64_t *confirmed);

/* The same, but logs the first error and reports nothing else. */
int preflight_start(struct pg *pg, const char *slot, const char *publication,
    uint64_t *confirmed);

#endif
