/*
 * LSNs in the text form of type pg_lsn.  Only the canonical spelling is read
 * and written: two upper-case hexadecimal numbers without leading zeros.
 */
#ifndef LSN_H
#define LSN_H

#include <stdint.h>

#include "base/view.h"

#define LSN_TEXT_MAX 18 /* FFFFFFFF/FFFFFFFF and a NUL */

bool lsn_parse(struct view s, uint64_t *lsn);

/* Writes the text and a NUL; returns the length. */
size_t lsn_format(char to[LSN_TEXT_MAX], uint64_t lsn);

/* The text for a message: lsn_text(x).s */
struct lsn_text {
	char s[LSN_TEXT_MAX];
};
struct lsn_text lsn_text(uint64_t lsn);

#endif
