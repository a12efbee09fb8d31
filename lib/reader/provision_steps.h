/*
 * What the files that provision the source share; nothing else includes this.
 *
 *	provision.c          the slot, and what is done in which order
 *	provision_publish.c  the publication and its tables
 *
 * Functions that return int return an exit code and have logged the error.
 */
#ifndef PROVISION_STEPS_H
#define PROVISION_STEPS_H

#include "pg/pg.h"
#include "reader/provision.h"
#include "reader/snapshot_request.h"

/* Zero-initialise. */
struct provision {
	const struct provision_options *o;
	struct pg pg;
	struct buf names;                /* tables to publish, for SQL */
	struct snapshot_request request; /* of the same tables */
};

/* Prints a line on stdout. */
void provision_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

int provision_no_memory(const char *doing);

/* Finds the tables to publish: those of the list, which must be fit for it. */
int provision_pick_listed(struct provision *p);

/* Finds all that are fit, of the list if there is one, and prints the others;
 * if not `wanted`, prints all of them. */
int provision_pick_fit(struct provision *p, bool wanted);

/* Creates the publication with the tables found. */
int provision_publish(struct provision *p);

/* Adds the tables found, if any, to the publication. */
int provision_extend(struct provision *p);

/* The same with the request that is wished for, in one transaction. */
int provision_extend_and_ask(
    struct provision *p, const struct provision_snapshot *wish);

#endif
