/*
 * --safe-numbers: the values of events whose numbers binary floating point does
 * not keep are written as strings (philotes-stream(5)).
 */
#ifndef SAFE_NUMBERS_H
#define SAFE_NUMBERS_H

#include "base/buf.h"
#include "stream/event.h"

/* Zero-initialise. */
struct safe_numbers {
	bool on;                  /* else safe_numbers_apply does nothing */
	struct buf before, after; /* private */
};

/* Changes before_data and after_data of e, which may become views into s that
 * the next call changes.  False: out of memory. */
bool safe_numbers_apply(struct safe_numbers *s, struct event *e);

void safe_numbers_release(struct safe_numbers *s);

#endif
