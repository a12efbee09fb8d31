/*
 * A column's value as JSON.  The input is the type's OID in two bytes and the
 * value's text.
 *
 * Any UTF-8 text without a NUL byte becomes a JSON value without a newline that
 * jsonb can hold.  Only a value of a JSON type may be flagged as JSON in a
 * string.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "reader/pgvalue.h"
#include "json/json_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition) \
	do { \
		if (!(condition)) \
			abort(); \
	} while (0)

static bool
is_json(unsigned oid)
{
	return oid == 114 || oid == 3802 || oid == 199 || oid == 3807;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf b = BUF_INIT;
	struct json_error error;
	struct view text;
	unsigned oid;
	char *exact;
	bool flag;

	if (size < 2)
		return 0;
	oid = (unsigned)data[0] << 8 | data[1];
	exact = malloc(size > 2 ? size - 2 : 1);
	MUST(exact != NULL);
	memcpy(exact, data + 2, size - 2);
	text = (struct view){exact, size - 2};
	if (utf8_valid(text) && memchr(exact, '\0', size - 2) == NULL) {
		flag = pgvalue_write(&b, oid, text);
		MUST(!b.failed && memchr(b.data, '\n', b.len) == NULL);
		MUST(json_storable(
		    buf_view(&b), JSON_STORE_DEPTH, false, &error));
		MUST(!flag || (is_json(oid) && b.data[0] == '"'));
	}
	free(exact);
	buf_release(&b);
	return 0;
}
