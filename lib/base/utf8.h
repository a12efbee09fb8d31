/* UTF-8 as in RFC 3629: without overlong forms and surrogates. */
#ifndef UTF8_H
#define UTF8_H

#include "base/view.h"

/* The length in bytes of the first character of s, which is not empty; 0 if it
 * is not well-formed. */
size_t utf8_length(struct view s);

/* Is all of s well-formed? */
bool utf8_valid(struct view s);

/* The longest prefix of s, which is well-formed, that has at most max bytes and
 * ends between two characters. */
struct view utf8_clip(struct view s, size_t max);

#endif
