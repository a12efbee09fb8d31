/* Escapes in JSON strings: what they stand for. */
#ifndef JSON_ESCAPE_H
#define JSON_ESCAPE_H

#include "base/buf.h"
#include "json/json_error.h"

/*
 * The decoded content of a JSON string: raw is the text between the quotes,
 * already recognised.  Without an escape it is raw itself, else the decoded
 * bytes are appended to scratch and the view points there (scratch must not
 * move afterwards: see buf.h).  A null view, and *e set, if the escapes cannot
 * be UTF-8: a lone surrogate.
 */
struct view json_unescape(
    struct view raw, struct buf *scratch, struct json_error *e);

/* The value of a hexadecimal digit, or -1. */
int json_hex_digit(unsigned char c);

/* The character an escape's letter stands for, 0: no such escape. */
char json_short_escape(unsigned char c);

/*
 * The character of the \u escape at *p, and *p moved behind it; two escapes
 * can be one character.  -1, and *p stays, for half a pair.
 */
long json_unicode_escape(const unsigned char **p, const unsigned char *end);

#endif
