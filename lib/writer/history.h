/* The timeline history of a start line: [[timeline,"switch point"],…]. */
#ifndef HISTORY_H
#define HISTORY_H

#include <stdint.h>

#include "base/view.h"

/* Finds the LSN at which a timeline ended.  False if the history is malformed
 * or does not have that timeline. */
bool history_find(struct view history, uint32_t timeline, uint64_t *lsn);

#endif
