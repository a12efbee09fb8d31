/* UTF-8: RFC 3629, which has no overlong forms and no surrogates. */
#ifndef UTF8_H
#define UTF8_H

#include "base/view.h"

/* The bytes of the first character of s, which is not empty.  0: they are not
 * well-formed. */
size_t utf8_length(struct view s);

/* Is all of s well-formed? */
bool utf8_valid(struct view s);

/* The longest beginning of s that has at most max bytes and does not cut a
 * character in two.  s is well-formed. */
struct view utf8_clip(struct view s, size_t max);

#endif
