/*
 * What PostgreSQL's jsonb can hold, beyond what its text has to look like.
 * Both functions expect text that has been recognised as JSON.
 */
#ifndef JSONB_H
#define JSONB_H

#include "base/view.h"

#define JSONB_DEPTH_MAX 512

/* A number, if numeric can hold it: at most 131072 digits before the point,
 * 16383 behind (PostgreSQL manual, table 8.2). */
bool jsonb_number_fits(struct view number);

/*
 * A text that is nested at most JSONB_DEPTH_MAX deep, if it takes no more than
 * 268,435,455 bytes as jsonb, no array in it has more than 16,777,216 elements
 * and no object more than 8,388,608 pairs.  Bytes are rounded up: what is let
 * through fits, what is refused might just have.
 */
bool jsonb_size_fits(struct view text);

#endif
