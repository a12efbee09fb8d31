/* Writing JSON text into a buf. */
#ifndef JSON_WRITE_H
#define JSON_WRITE_H

#include "base/buf.h"

/*
 * Appends s as a string in quotes, or null for a null view.  Escapes the quote,
 * the backslash and the control characters below 0x20 (\b \f \n \r \t in their
 * short forms) and copies all other bytes, so UTF-8 stays UTF-8.
 */
void json_write_string(struct buf *b, struct view s);

#endif
