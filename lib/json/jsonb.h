/*
 * Limits of PostgreSQL's jsonb that JSON does not have.  Both functions expect
 * text that json_scan has accepted.
 */
#ifndef JSONB_H
#define JSONB_H

#include "base/view.h"

#define JSONB_DEPTH_MAX 512

/* Can numeric hold the number?  It has at most 131072 digits before the point
 * and 16383 after it (PostgreSQL manual, table 8.2). */
bool jsonb_number_fits(struct view number);

/*
 * Does text, nested at most JSONB_DEPTH_MAX deep, fit into jsonb?  The limits
 * are 268,435,455 bytes as jsonb, 16,777,216 elements in an array and 8,388,608
 * pairs in an object.  Bytes are rounded up: a text just within the limit may
 * be refused, one beyond it is never accepted.
 */
bool jsonb_size_fits(struct view text);

#endif
