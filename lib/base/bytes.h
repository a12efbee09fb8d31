/* Big-endian integers, as in PostgreSQL's protocol and in the binary format of
 * COPY (PostgreSQL manual, "Message Data Types" and "COPY"). */
#ifndef BYTES_H
#define BYTES_H

#include <stddef.h>
#include <stdint.h>

/* The unsigned integer in the n <= 8 bytes at `from`. */
static inline uint64_t
bytes_load(const char *from, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | (unsigned char)from[i];
	return v;
}

/* Stores the low n <= 8 bytes of v; returns a pointer past them. */
static inline char *
bytes_store(char *to, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (char)(unsigned char)(v >> (8 * (n - 1 - i)));
	return to + n;
}

#endif
