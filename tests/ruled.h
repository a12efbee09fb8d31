/*
 * What bin/ruled/pg-cdc-read is compiled with, for the tests of snapshots: parts
 * of tables begin with one block, and the rule WITHOUT_RULE of the environment is
 * left out.
 */
#ifndef RULED_H
#define RULED_H

#include <stdlib.h>

#define FIRST_BLOCKS 1
#define RENEW_MS     100

static inline unsigned
rules_in_force(void)
{
	const char *without = getenv("WITHOUT_RULE");

	return without != NULL ? ~(1u << atoi(without)) : ~0u;
}

#define SNAPSHOT_RULES rules_in_force()

#endif
