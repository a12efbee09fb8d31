/* The recogniser of JSON: what it lets through comes out of jsmn in order, and
 * whoever calls it twice gets the same answer. */
#include <stdint.h>
#include <stdlib.h>

#include "json_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct json_reader reader;

static void
check_member(struct view text, const struct json_member *m)
{
	struct buf scratch = BUF_INIT;
	struct json_error e;

	if (m->key.p < text.p || m->value.n == 0 ||
	    m->value.p < m->key.p + m->key.n ||
	    m->value.p + m->value.n > text.p + text.n)
		abort();
	/* a key is text, or half a pair of surrogates */
	if (json_unescape(m->key, &scratch, &e).p == NULL &&
	    e.offset >= m->key.n)
		abort();
	buf_release(&scratch);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view text = {(const char *)data, size};
	struct json_error e = {NULL, 0}, e2 = {NULL, 0};
	bool object = json_read_object(&reader, text, &e);
	bool plain = json_storable(text, JSON_STORE_DEPTH, false, &e2);
	bool unique = json_storable(text, JSON_STORE_DEPTH, true, &e2);

	if (!object && (e.reason == NULL || e.offset > size))
		abort();
	if (!unique && (e2.reason == NULL || e2.offset > size))
		abort();
	/* each refuses more than the one before */
	if (unique && !plain)
		abort();
	if (object)
		for (size_t i = 0; i < reader.members.n; i++)
			check_member(text, &reader.members.a[i]);
	return 0;
}
