/*
 * Counts how often a stream failed in the same way at the same place.  A file
 * keeps the last failure from run to run, in one line: the LSN, the count and
 * the kind.
 */
#ifndef REPEAT_H
#define REPEAT_H

#include <stdint.h>

/*
 * Records a failure at lsn of this kind (no spaces, at most 20 bytes) and
 * returns how often it has occurred in a row.  A file that cannot be read
 * counts as empty.  One that cannot be written is only a warning: the count
 * then stays low.
 */
unsigned repeat_count(const char *path, uint64_t lsn, const char *kind);

#endif
