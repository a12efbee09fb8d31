/* The history of timelines in a start line: [[1,"0/5000000"],…]. */
#ifndef HISTORY_H
#define HISTORY_H

#include <stdint.h>

#include "base/view.h"

/* Finds the LSN at which a timeline ended.  False if the history is malformed
 * or does not say. */
bool history_find(struct view history, uint32_t timeline, uint64_t *lsn);

#endif
