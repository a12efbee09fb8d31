/* Why a JSON text was refused, and where. */
#ifndef JSON_ERROR_H
#define JSON_ERROR_H

#include <stddef.h>

struct json_error {
	const char *reason; /* a literal: "unexpected character" */
	size_t offset;      /* byte offset in the text */
};

#endif
