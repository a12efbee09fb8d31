/* The grammar is in event_read.c; members are written in its order. */
#include "stream/event_write.h"

#include "base/clock.h"
#include "base/json_write.h"
#include "base/lsn.h"
#include "base/num.h"

static void
put_u64(struct buf *b, uint64_t v)
{
	char text[20];

	buf_add(b, text, num_format_u64(text, v));
}

static void
put_lsn(struct buf *b, uint64_t lsn)
{
	char text[LSN_TEXT_MAX];
	size_t n = lsn_format(text, lsn);

	buf_addc(b, '"');
	buf_add(b, text, n);
	buf_addc(b, '"');
}

static void
put_raw(struct buf *b, struct view json)
{
	buf_addv(b, json.p != NULL ? json : VIEW_LIT("null"));
}

static void
put_time(struct buf *b, int64_t t)
{
	buf_addc(b, '"');
	clock_format_pg(b, t);
	buf_addc(b, '"');
}

static void
put_metadata(struct buf *b, const struct event *e)
{
	if (e->seq == 0) {
		put_raw(b, e->metadata);
		return;
	}
	buf_addv(b, VIEW_LIT("{\"commit_lsn\":"));
	put_lsn(b, e->commit_lsn);
	buf_addv(b, VIEW_LIT(",\"seq\":"));
	put_u64(b, e->seq);
	if (e->metadata.n > 2) {
		buf_addc(b, ',');
		buf_add(b, e->metadata.p + 1, e->metadata.n - 1);
	} else {
		buf_addc(b, '}');
	}
}

void
event_write(struct buf *b, const struct event *e)
{
	buf_addc(b, '{');
	if (e->id != 0) {
		buf_addv(b, VIEW_LIT("\"id\":"));
		put_u64(b, (uint64_t)e->id);
		buf_addc(b, ',');
	}
	buf_addv(b, VIEW_LIT("\"source_id\":"));
	json_write_string(b, e->source_id);
	buf_addv(b, VIEW_LIT(",\"schema_name\":"));
	json_write_string(b, e->schema_name);
	buf_addv(b, VIEW_LIT(",\"table_name\":"));
	json_write_string(b, e->table_name);
	buf_addv(b, VIEW_LIT(",\"operation\":"));
	json_write_string(b, e->operation);
	buf_addv(b, VIEW_LIT(",\"lsn\":"));
	json_write_string(b, e->lsn);
	buf_addv(b, VIEW_LIT(",\"transaction_id\":"));
	if (e->has_transaction_id)
		put_u64(b, (uint64_t)e->transaction_id);
	else
		put_raw(b, VIEW_NULL);
	buf_addv(b, VIEW_LIT(",\"key_columns\":"));
	put_raw(b, e->key_columns);
	buf_addv(b, VIEW_LIT(",\"before_data\":"));
	put_raw(b, e->before_data);
	buf_addv(b, VIEW_LIT(",\"after_data\":"));
	put_raw(b, e->after_data);
	buf_addv(b, VIEW_LIT(",\"event_time\":"));
	put_time(b, e->event_time);
	buf_addv(b, VIEW_LIT(",\"metadata\":"));
	put_metadata(b, e);
	if (e->id != 0) {
		buf_addv(b, VIEW_LIT(",\"created_at\":"));
		put_time(b, e->created_at);
	}
	buf_addv(b, VIEW_LIT("}\n"));
}

void
event_write_checkpoint(struct buf *b, struct view ack)
{
	buf_addv(b, VIEW_LIT("{\"control\":\"checkpoint\",\"ack\":"));
	json_write_string(b, ack);
	buf_addv(b, VIEW_LIT("}\n"));
}

void
event_write_alive(struct buf *b)
{
	buf_addv(b, VIEW_LIT("{\"control\":\"alive\"}\n"));
}

void
event_write_start(struct buf *b, const struct stream_start *s)
{
	buf_addv(b, VIEW_LIT("{\"control\":\"start\",\"source_id\":"));
	json_write_string(b, s->source_id);
	buf_addv(b, VIEW_LIT(",\"system_id\":"));
	json_write_string(b, s->system_id);
	buf_addv(b, VIEW_LIT(",\"timeline\":"));
	put_u64(b, s->timeline);
	buf_addv(b, VIEW_LIT(",\"history\":"));
	buf_addv(b, s->history);
	buf_addv(b, VIEW_LIT(",\"slot\":"));
	json_write_string(b, s->slot);
	buf_addv(b, VIEW_LIT(",\"lsn\":"));
	put_lsn(b, s->lsn);
	buf_addv(b, VIEW_LIT(",\"flush\":"));
	put_lsn(b, s->flush);
	buf_addv(b, VIEW_LIT("}\n"));
}
