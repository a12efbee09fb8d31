/*
 * Converts a column value from PostgreSQL's text format to JSON (the table is
 * in philotes-stream(5)), depending on the OID of its type:
 *
 *   boolean                            true, false
 *   smallint, integer, bigint, oid     a number, digits verbatim
 *   real, double precision, numeric    a number, digits verbatim; NaN, the
 *                                      infinities and -0 a string
 *   json, jsonb                        embedded; a raw newline becomes a space;
 *                                      a value that jsonb cannot hold, a string;
 *                                      null is the string "null"
 *   arrays of PostgreSQL's own types   an array of the above, NULL as null;
 *                                      with custom lower bounds, a string
 *   everything else                    a string
 *
 * OIDs are those of PostgreSQL's src/include/catalog/pg_type.dat; array syntax
 * is that of the manual, section 8.15.6.
 */
#ifndef PGVALUE_H
#define PGVALUE_H

#include <stdint.h>

#include "base/buf.h"

/*
 * Appends text as JSON; it is a value of type oid, as the server sends it under
 * the pinned session settings: UTF-8 without a NUL byte.  Returns true if it is
 * json or jsonb that was written as a string, since jsonb cannot hold it, or since
 * it is null, which would be the null of SQL.
 * An array with such an element is written as one string.
 */
bool pgvalue_write(struct buf *b, uint32_t oid, struct view text);

#endif
