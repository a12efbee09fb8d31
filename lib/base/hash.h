/* A hash of texts, FNV-1a with 64 bits: for tables, not against an attacker. */
#ifndef HASH_H
#define HASH_H

#include <stdint.h>

#include "base/view.h"

#define HASH_START UINT64_C(14695981039346656037)

/* Adds a text; several differ from their concatenation. */
static inline uint64_t
hash_add(uint64_t hash, struct view text)
{
	for (size_t i = 0; i < text.n; i++)
		hash = (hash ^ (unsigned char)text.p[i]) *
		    UINT64_C(1099511628211);
	return (hash ^ 0xFF) * UINT64_C(1099511628211);
}

#endif
