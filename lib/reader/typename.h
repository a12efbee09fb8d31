/* Names of types, as the server's format_type() prints them. */
#ifndef TYPENAME_H
#define TYPENAME_H

#include <stdint.h>

#include "base/buf.h"

/*
 * Appends the name of one of PostgreSQL's own types, with what its modifier
 * (pg_attribute.atttypmod; -1: none) says, such as numeric(12,2).  False, and
 * nothing appended: there is no such type.
 */
bool typename_add(struct buf *b, uint32_t oid, int32_t modifier);

/* The OID of PostgreSQL's own type that has this pg_type.typname; 0: none. */
uint32_t typename_find(struct view name);

/* Appends schema.name; each part is in double quotes unless it consists of
 * lower-case letters, digits and underscores. */
void typename_add_qualified(
    struct buf *b, struct view schema, struct view name);

#endif
