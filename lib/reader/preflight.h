/*
 * What must be true of the source before it can be read.  Reading looks at it
 * when it starts, and the report of --check is made of the same findings, so
 * that both end with the same exit code.
 */
#ifndef PREFLIGHT_H
#define PREFLIGHT_H

#include "pg/pg.h"

enum finding_level { FINDING_OK, FINDING_WARNING, FINDING_ERROR };

struct finding {
	const char *check; /* what was looked at: "slot" */
	enum finding_level level;
	int code; /* of an error: what reading would end with */
	bool logged;
	struct view text; /* what is the case; of an error, its message */
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

/* Reports a finding; the text is as of printf. */
void preflight_found(struct preflight *p, const struct finding *f,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * Looks at the server's version and settings, the slot and the publication, and
 * reports on each.  *confirmed is the slot's confirmed_flush_lsn.  Returns the
 * code of the first error: EXIT_OPERATOR if the slot is missing or lost,
 * EXIT_CONFIG if it is of another kind, if the publication is missing or the
 * server unfit, EXIT_RETRY if another process reads the slot.
 */
int preflight_look(struct preflight *p, struct pg *pg, uint64_t *confirmed);

/* The same, nothing but the first error being reported, to the log. */
int preflight_start(struct pg *pg, const char *slot, const char *publication,
    uint64_t *confirmed);

#endif
