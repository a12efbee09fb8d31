/*
 * Does a failure repeat itself?  A file keeps the last one from run to run, in
 * a line: the LSN, how often in a row, and in a word how.
 */
#ifndef REPEAT_H
#define REPEAT_H

#include <stdint.h>

/*
 * Takes note of a failure at lsn, of the kind that `how` names (no spaces, at
 * most 20 bytes).  Returns how often it has come in a row.  A file that cannot
 * be read counts as empty; one that cannot be written is a warning, since it is
 * of no consequence but that nothing is ever found to repeat itself.
 */
unsigned repeat_count(const char *path, uint64_t lsn, const char *how);

#endif
