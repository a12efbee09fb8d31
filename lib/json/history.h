/* The history of timelines in a start line: [[1,"0/5000000"], …]. */
#ifndef HISTORY_H
#define HISTORY_H

#include <stdint.h>

#include "base/view.h"

/* Looks up where a timeline was left.  False if it is not there or the history
 * is malformed. */
bool history_find(struct view history, uint32_t timeline, uint64_t *switch_lsn);

#endif
