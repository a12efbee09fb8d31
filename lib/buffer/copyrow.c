/*
 * Binary COPY (PostgreSQL manual, "COPY", Binary Format):
 *
 *	file	= "PGCOPY\n\377\r\n\0" int32 flags int32 extension-length
 *		  row* int16 -1
 *	row	= int16 number-of-fields field*
 *	field	= int32 length (-1: null) byte*
 *
 *	text, json	the characters
 *	bigint, pg_lsn	8 bytes
 *	timestamptz	8 bytes: microseconds since 2000-01-01, signed
 *
 * Integers are big-endian.
 */
#include "buffer/copyrow.h"

#include "base/bytes.h"

#define SIGNATURE       "PGCOPY\n\377\r\n\0"
#define SIGNATURE_BYTES 11
#define HEADER_BYTES    (SIGNATURE_BYTES + 8)
#define FIELDS_IN       13
#define FIELDS_OUT      15

void
copyrow_put_header(struct buf *b)
{
	buf_add(b, SIGNATURE, SIGNATURE_BYTES);
	buf_add(b, "\0\0\0\0\0\0\0", 8);
}

void
copyrow_put_trailer(struct buf *b)
{
	buf_add(b, "\377\377", 2);
}

static char *
put_view(char *to, struct view v)
{
	if (v.p == NULL)
		return bytes_store(to, UINT32_MAX, 4);
	to = bytes_store(to, v.n, 4);
	if (v.n > 0)
		memcpy(to, v.p, v.n);
	return to + v.n;
}

static char *
put_u64(char *to, uint64_t v, bool present)
{
	if (!present)
		return bytes_store(to, UINT32_MAX, 4);
	return bytes_store(bytes_store(to, 8, 4), v, 8);
}

void
copyrow_put(struct buf *b, const struct event *e)
{
	size_t n = 2 + FIELDS_IN * 4 + 4 * 8 + e->source_id.n +
	    e->schema_name.n + e->table_name.n + e->operation.n + e->lsn.n +
	    e->key_columns.n + e->before_data.n + e->after_data.n +
	    e->metadata.n;
	char *to = buf_reserve(b, n);

	if (to == NULL)
		return;
	to = bytes_store(to, FIELDS_IN, 2);
	to = put_view(to, e->source_id);
	to = put_view(to, e->schema_name);
	to = put_view(to, e->table_name);
	to = put_view(to, e->operation);
	to = put_view(to, e->lsn);
	to = put_u64(to, (uint64_t)e->transaction_id, e->has_transaction_id);
	to = put_u64(to, e->commit_lsn, e->seq != 0);
	to = put_u64(to, e->seq, e->seq != 0);
	to = put_view(to, e->key_columns);
	to = put_view(to, e->before_data);
	to = put_view(to, e->after_data);
	to = put_u64(to, (uint64_t)e->event_time, true);
	to = put_view(to, e->metadata);
	b->len = (size_t)(to - b->data);
}

/* After one bad field all further ones are null. */
struct row {
	struct view rest;
	bool bad;
};

static struct view
get_view(struct row *r)
{
	struct view v;
	uint64_t n;

	if (r->bad || r->rest.n < 4) {
		r->bad = true;
		return VIEW_NULL;
	}
	n = bytes_load(r->rest.p, 4);
	r->rest = (struct view){r->rest.p + 4, r->rest.n - 4};
	if (n == UINT32_MAX)
		return VIEW_NULL;
	if (n > r->rest.n) {
		r->bad = true;
		return VIEW_NULL;
	}
	v = (struct view){r->rest.p, (size_t)n};
	r->rest = (struct view){r->rest.p + n, r->rest.n - n};
	return v;
}

static uint64_t
get_u64(struct row *r, bool *present)
{
	struct view v = get_view(r);

	if (v.p != NULL && v.n != 8)
		r->bad = true;
	if (present != NULL)
		*present = v.p != NULL;
	else if (v.p == NULL)
		r->bad = true;
	return v.p != NULL && v.n == 8 ? bytes_load(v.p, 8) : 0;
}

static void
get_fields(struct row *r, struct event *e)
{
	bool present;

	*e = (struct event){0};
	e->id = (int64_t)get_u64(r, NULL);
	e->source_id = get_view(r);
	e->schema_name = get_view(r);
	e->table_name = get_view(r);
	e->operation = get_view(r);
	e->lsn = get_view(r);
	e->transaction_id = (int64_t)get_u64(r, &e->has_transaction_id);
	e->commit_lsn = get_u64(r, &present);
	e->seq = get_u64(r, &present);
	e->key_columns = get_view(r);
	e->before_data = get_view(r);
	e->after_data = get_view(r);
	e->event_time = (int64_t)get_u64(r, NULL);
	e->metadata = get_view(r);
	e->created_at = (int64_t)get_u64(r, NULL);
}

enum copyrow_status
copyrow_get(struct view message, bool first, struct event *e)
{
	struct row r = {message, false};

	if (first) {
		/* flags and extension length must be 0 */
		if (r.rest.n < HEADER_BYTES ||
		    memcmp(r.rest.p, SIGNATURE, SIGNATURE_BYTES) != 0 ||
		    bytes_load(r.rest.p + SIGNATURE_BYTES, 8) != 0)
			return COPYROW_BAD;
		r.rest = (struct view){
		    r.rest.p + HEADER_BYTES, r.rest.n - HEADER_BYTES};
	}
	if (r.rest.n < 2)
		return COPYROW_BAD;
	if (bytes_load(r.rest.p, 2) == UINT16_MAX)
		return r.rest.n == 2 ? COPYROW_END : COPYROW_BAD;
	if (bytes_load(r.rest.p, 2) != FIELDS_OUT)
		return COPYROW_BAD;
	r.rest = (struct view){r.rest.p + 2, r.rest.n - 2};
	get_fields(&r, e);
	return r.bad || r.rest.n > 0 ? COPYROW_BAD : COPYROW_EVENT;
}
