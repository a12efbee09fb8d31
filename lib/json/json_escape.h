/* Decoding the escapes in JSON strings. */
#ifndef JSON_ESCAPE_H
#define JSON_ESCAPE_H

#include "base/buf.h"
#include "json/json_error.h"

/*
 * Decodes the content of a JSON string: raw is the text between the quotes,
 * which json_scan has accepted.  Without an escape the result is raw itself.
 * Otherwise the decoded bytes are appended to scratch, and the result is a view
 * of them, valid until scratch moves (see buf.h).  Returns a null view and sets
 * *e for a lone surrogate, or if memory ran out.
 */
struct view json_unescape(
    struct view raw, struct buf *scratch, struct json_error *e);

/* The value of a hexadecimal digit, or -1. */
int json_hex_digit(unsigned char c);

/* The character that backslash and c stand for; 0 if there is no such escape.
 */
char json_short_escape(unsigned char c);

/*
 * Decodes the character of the \u escape at *p, whose four digits have been
 * checked, and moves *p past it; two escapes may form one character.  Returns
 * -1 and leaves *p for a lone surrogate.
 */
long json_unicode_escape(const unsigned char **p, const unsigned char *end);

#endif
