/*
 * Text of others for people to read: names, values, what a server or a handler
 * says.  A terminal must not obey it, a line must have one end, and what is
 * read must be what is there.  Hostile are
 *
 *   control characters         U+0000-1F, U+007F-9F (Unicode's Cc)
 *   other ends of lines        U+2028, U+2029 (Zl, Zp)
 *   what turns the direction   U+061C, U+200E, U+200F, U+202A-2E, U+2066-69
 *                              (Bidi_Control)
 *   bytes that are not UTF-8
 *
 * The stream of events is data, not text: it has everything as it is.
 * scripts/lib/text.sh does the same for the scripts.
 */
#ifndef TEXT_H
#define TEXT_H

#include "base/buf.h"

/* Appends text with a '?' for each hostile character, or byte. */
void text_add_line(struct buf *b, struct view text);

/* Appends a JSON string that has escapes for them; a byte that is not UTF-8 is
 * U+FFFD. */
void text_add_json(struct buf *b, struct view text);

#endif
