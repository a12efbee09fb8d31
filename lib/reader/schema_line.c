/*
 *	{"control":"schema","source_id":…,"schema_name":…,"table_name":…,
 *	 "schema":…,"relid":…,"replica_identity":…,"key_columns":[…],
 *	 "primary_key":…,"partition_of":{…},"columns":[{"name":…,"type":…,
 *	 "domain":…,"enum":[…],"attnum":…,"not_null":…,"missing":…},…]}
 *
 * "schema" is the beginning of a SHA-256 over the line without this member and
 * without its newline.
 */
#include "reader/schema_line.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/json_write.h"

#define ID_BYTES  6     /* of the SHA-256 */
#define SLOTS_MAX 65536 /* beyond it, what was printed is forgotten */

/* What was printed */

/* If two tables have the same one, lines are printed again. */
static uint64_t
names_key(const struct relation *r)
{
	return hash_add(hash_add(HASH_START, r->schema_name), r->table_name) |
	    1;
}

static uint64_t
oid_key(const struct relation *r)
{
	return (r->oid + UINT64_C(1)) * UINT64_C(0x9E3779B97F4A7C15) |
	    UINT64_C(1) << 63;
}

static struct schema_slot *
find_slot(const struct schema_lines *s, uint64_t key)
{
	size_t i = (size_t)(key >> 20) & (s->cap - 1);

	while (s->slots[i].key != 0 && s->slots[i].key != key)
		i = (i + 1) & (s->cap - 1);
	return &s->slots[i];
}

static bool
grow(struct schema_lines *s)
{
	struct schema_lines bigger = *s;

	bigger.cap = s->cap > 0 ? 2 * s->cap : 64;
	bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
	if (bigger.slots == NULL)
		return false;
	for (size_t i = 0; i < s->cap; i++) {
		if (s->slots[i].key != 0)
			*find_slot(&bigger, s->slots[i].key) = s->slots[i];
	}
	free(s->slots);
	*s = bigger;
	return true;
}

/* Makes room for two more slots. */
static bool
make_room(struct schema_lines *s)
{
	if (s->n + 2 > SLOTS_MAX / 2) {
		memset(s->slots, 0, s->cap * sizeof(*s->slots));
		s->n = 0;
	}
	return 2 * (s->n + 2) <= s->cap || grow(s);
}

/* There is room for it. */
static void
set_slot(struct schema_lines *s, uint64_t key, uint64_t line)
{
	struct schema_slot *slot = find_slot(s, key);

	s->n += slot->key == 0;
	*slot = (struct schema_slot){key, line};
}

/* Was this the last line of the table, by its names and by its OID? */
static bool
was_last(const struct schema_lines *s, const struct relation *r, uint64_t line)
{
	return find_slot(s, r->table)->line == line &&
	    find_slot(s, oid_key(r))->line == line;
}

/* The line */

static const char *
identity_name(char identity)
{
	switch (identity) {
	case 'f':
		return "full";
	case 'i':
		return "index";
	case 'n':
		return "nothing";
	default:
		return "default";
	}
}

static void
add_columns(struct schema_lines *s, const struct relation *r, struct buf *b)
{
	buf_adds(b, ",\"columns\":[");
	for (size_t i = 0; i < r->ncolumns; i++) {
		const struct view *name = &r->columns[i].json;

		buf_adds(b, i > 0 ? ",{\"name\":" : "{\"name\":");
		buf_addv(b, (struct view){name->p, name->n - 1});
		hints_add_column(&s->hints, &r->columns[i], b);
		buf_addc(b, '}');
	}
	buf_addc(b, ']');
}

static void
compose(struct schema_lines *s, const struct relation *r, struct view source_id)
{
	struct buf *b = &s->names;

	buf_clear(&s->names);
	buf_clear(&s->rest);
	buf_adds(b, "{\"control\":\"schema\",\"source_id\":");
	json_write_string(b, source_id);
	buf_adds(b, ",\"schema_name\":");
	json_write_string(b, r->schema_name);
	buf_adds(b, ",\"table_name\":");
	json_write_string(b, r->table_name);
	b = &s->rest;
	buf_addf(b, ",\"relid\":%lu,\"replica_identity\":\"%s\",",
	    (unsigned long)r->oid, identity_name(r->identity));
	buf_adds(b, "\"key_columns\":");
	buf_addv(b, r->key_columns);
	hints_add_table(&s->hints, r, b);
	add_columns(s, r, b);
	buf_addc(b, '}');
}

/* The first bytes of the line's SHA-256; 0: out of memory. */
static uint64_t
digest(const struct schema_lines *s)
{
	unsigned char sum[EVP_MAX_MD_SIZE] = {0};
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool good = md != NULL &&
	    EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
	    EVP_DigestUpdate(md, s->names.data, s->names.len) == 1 &&
	    EVP_DigestUpdate(md, s->rest.data, s->rest.len) == 1 &&
	    EVP_DigestFinal_ex(md, sum, NULL) == 1;

	EVP_MD_CTX_free(md);
	return good ? bytes_load((const char *)sum, ID_BYTES) : 0;
}

static void
print(const struct schema_lines *s, uint64_t id, struct buf *out)
{
	buf_addv(out, buf_view(&s->names));
	buf_addf(out, ",\"schema\":\"%0*llx\"", 2 * ID_BYTES,
	    (unsigned long long)id);
	buf_addv(out, buf_view(&s->rest));
	buf_addc(out, '\n');
}

/* Composes the line of r, and prints it if it is another one than the last. */
static bool
tell(struct schema_lines *s, struct relation *r, struct view source_id,
    struct buf *out)
{
	uint64_t id;

	hints_ask(&s->hints, r);
	compose(s, r, source_id);
	id = digest(s);
	if (s->names.failed || s->rest.failed || s->hints.name.failed ||
	    id == 0)
		return false;
	r->line = id;
	if (!was_last(s, r, id))
		print(s, id, out);
	set_slot(s, r->table, id);
	set_slot(s, oid_key(r), id);
	return true;
}

void
schema_lines_tell(struct schema_lines *s, struct relation *r,
    struct view source_id, struct buf *out)
{
	if (r->line != 0 && was_last(s, r, r->line))
		return;
	r->table = names_key(r);
	if (!make_room(s) || !tell(s, r, source_id, out))
		out->failed = true;
}

void
schema_lines_release(struct schema_lines *s)
{
	hints_close(&s->hints);
	free(s->slots);
	buf_release(&s->names);
	buf_release(&s->rest);
}
