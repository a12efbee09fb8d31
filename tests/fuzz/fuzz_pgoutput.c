/*
 * The decoder of pgoutput.  The input is a stream of messages, each after its
 * length in two bytes; a length beyond the end means the rest of the input.
 *
 * For any input: nothing is read beyond a message; a bad message has a reason,
 * and all messages after it are bad; seq counts from 1 in each transaction; and
 * each event becomes a line that buffer-write reads as the same event.
 */
#include <stdint.h>
#include <stdlib.h>

#include "reader/pgoutput.h"
#include "same.h"
#include "stream/event_read.h"
#include "stream/event_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition) \
	do { \
		if (!(condition)) \
			abort(); \
	} while (0)

struct run {
	struct pgoutput *decoder;
	struct event_reader reader;
	struct buf line;
	uint64_t lsn;
	uint64_t commit_lsn; /* of the event before */
	uint64_t seq;
	bool bad;
};

static void
check_event(struct run *r, struct event *e)
{
	struct stream_line l;
	struct line_error error;
	struct view line;

	e->source_id = VIEW_LIT("s");
	buf_clear(&r->line);
	event_write(&r->line, e);
	line = buf_view(&r->line);
	MUST(!r->line.failed && line.n > 1 && line.p[line.n - 1] == '\n');
	line.n--;
	MUST(memchr(line.p, '\n', line.n) == NULL);
	MUST(event_read(&r->reader, line, &l, &error));
	MUST(l.kind == LINE_EVENT);
	MUST(same_event(e, &l.event));
}

static void
check_order(struct run *r, const struct event *e)
{
	bool alone = !e->has_transaction_id;

	MUST(pgoutput_in_transaction(r->decoder) || alone);
	if (e->commit_lsn == r->commit_lsn)
		MUST(!alone && e->seq == r->seq + 1);
	else
		MUST(e->seq == 1 && e->commit_lsn > r->commit_lsn);
	r->commit_lsn = e->commit_lsn;
	r->seq = e->seq;
}

static void
feed(struct run *r, struct view message)
{
	enum pgoutput_status status;
	struct event e;

	r->lsn += 8;
	pgoutput_feed(r->decoder, message, r->lsn, (int64_t)r->lsn);
	while ((status = pgoutput_next(r->decoder, &e)) == PGOUTPUT_EVENT) {
		check_order(r, &e);
		check_event(r, &e);
	}
	MUST((status == PGOUTPUT_BAD) == (pgoutput_reason(r->decoder) != NULL));
	MUST(!r->bad || status == PGOUTPUT_BAD);
	MUST(status != PGOUTPUT_COMMIT || !pgoutput_in_transaction(r->decoder));
	r->bad = status == PGOUTPUT_BAD;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run r = {.decoder = pgoutput_new()};

	MUST(r.decoder != NULL);
	while (size >= 2) {
		size_t n = (size_t)data[0] << 8 | data[1];
		char *exact;

		data += 2;
		size -= 2;
		if (n > size)
			n = size;
		exact = malloc(n > 0 ? n : 1);
		MUST(exact != NULL);
		memcpy(exact, data, n);
		feed(&r, (struct view){exact, n});
		free(exact);
		data += n;
		size -= n;
	}
	pgoutput_free(r.decoder);
	event_reader_release(&r.reader);
	buf_release(&r.line);
	return 0;
}
