/* Writing JSON text into a buf. */
#ifndef JSON_WRITE_H
#define JSON_WRITE_H

#include "base/buf.h"

/*
 * A string in quotes.  Escaped are the quote, the backslash and the control
 * characters below 0x20 (\b \f \n \r \t by their short forms); all other bytes
 * are copied, so UTF-8 in is UTF-8 out.  A null view becomes null.
 */
void json_write_string(struct buf *b, struct view s);

#endif
