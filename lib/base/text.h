/*
 * Makes untrusted text safe to print: names, values, messages of a server or a
 * handler.  It must not control the terminal, must stay on one line, and must
 * not look like other text.  These characters are unsafe:
 *
 *   control characters    U+0000-1F, U+007F-9F (Unicode's Cc)
 *   other ends of lines   U+2028, U+2029 (Zl, Zp)
 *   changes of direction  U+061C, U+200E, U+200F, U+202A-2E, U+2066-69
 *                         (Bidi_Control)
 *   bytes that are not UTF-8
 *
 * The stream of events is data and is never changed like this.
 * scripts/lib/text.sh does the same for the scripts.
 */
#ifndef TEXT_H
#define TEXT_H

#include "base/buf.h"

/* Appends text with a '?' for each unsafe character or invalid byte. */
void text_add_line(struct buf *b, struct view text);

/* Appends text as a JSON string with each unsafe character escaped; an invalid
 * byte becomes U+FFFD. */
void text_add_json(struct buf *b, struct view text);

#endif
