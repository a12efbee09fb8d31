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

/* The bytes of the character that s, which is not empty, begins with; 0: it is
 * not well-formed. */
size_t utf8_length(struct view s);

/* Is s well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates)? */
bool utf8_valid(struct view s);

/* The first bytes of s, max at the most, that are whole characters. */
struct view utf8_clip(struct view s, size_t max);

#endif
