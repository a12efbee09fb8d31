/*
 * insn reader|writer|batch N: processes N events as one of the tools does, but
 * without a server and from fixed input, to count instructions:
 *
 *	valgrind --tool=callgrind --toggle-collect=measured insn reader 10000
 *
 * counts the instructions of measured(); divided by N they are the cost of an
 * event.  reader: from pgoutput messages to lines of the stream; writer: from
 * lines to rows of COPY IN; batch: from rows of COPY OUT to lines.  Half of the
 * events are inserts, half are updates of the same rows.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "batcher/batch.h"
#include "buffer/copyrow.h"
#include "reader/pgoutput.h"
#include "stream/event_read.h"
#include "stream/event_write.h"

#define RELATION     16384
#define PIECE_BYTES  65536 /* as the tools write */
#define BATCH_EVENTS 1000

/* Messages, lines or rows in one buffer, and where each ends. */
struct parts {
	struct buf bytes;
	size_t *ends;
	size_t n;
};

static struct parts messages, lines, rows;
static uint64_t produced; /* bytes, so that nothing is optimised away */

static void
end_part(struct parts *p)
{
	p->ends[p->n++] = p->bytes.len;
}

static struct view
part(const struct parts *p, size_t i)
{
	size_t from = i > 0 ? p->ends[i - 1] : 0;

	return (struct view){p->bytes.data + from, p->ends[i] - from};
}

static void
put_int(struct buf *b, uint64_t v, int bytes)
{
	while (bytes-- > 0)
		buf_addc(b, (char)(unsigned char)(v >> (8 * bytes)));
}

static void
put_name(struct buf *b, const char *name)
{
	buf_add(b, name, strlen(name) + 1);
}

static void
put_relation(struct buf *b)
{
	static const struct {
		const char *name;
		uint32_t type;
	} columns[] = {{"id", 20}, {"customer_id", 20}, {"status", 25},
	    {"amount", 1700}, {"currency", 1042}, {"created_at", 1184},
	    {"paid", 16}, {"tags", 1009}, {"address", 3802}, {"note", 25}};

	buf_addc(b, 'R');
	put_int(b, RELATION, 4);
	put_name(b, "public");
	put_name(b, "orders");
	buf_addc(b, 'd');
	put_int(b, sizeof(columns) / sizeof(*columns), 2);
	for (size_t i = 0; i < sizeof(columns) / sizeof(*columns); i++) {
		put_int(b, i == 0, 1);
		put_name(b, columns[i].name);
		put_int(b, columns[i].type, 4);
		put_int(b, UINT32_MAX, 4);
	}
}

static void
put_text(struct buf *b, const char *text)
{
	buf_addc(b, 't');
	put_int(b, strlen(text), 4);
	buf_adds(b, text);
}

static void
put_number(struct buf *b, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, v);
	put_text(b, text);
}

/* A row of the benchmark's table orders: see clusters.bash. */
static void
put_tuple(struct buf *b, uint64_t i, bool paid)
{
	char amount[24];

	snprintf(amount, sizeof(amount), "%" PRIu64 ".%02" PRIu64,
	    i * 7919 % 10000, i % 100);
	put_int(b, 10, 2);
	put_number(b, i);
	put_number(b, i * 31 % 50000);
	put_text(b, paid ? "paid" : "new");
	put_text(b, amount);
	put_text(b, "EUR");
	put_text(b, "2026-11-22 13:12:35.949462+00");
	put_text(b, paid ? "t" : "f");
	put_text(b, "{web,priority}");
	put_text(b,
	    "{\"zip\": \"10115\", \"city\": \"Berlin\", "
	    "\"street\": \"Invalidenstra\303\237e 117\"}");
	put_text(b,
	    "please leave it with the \"neighbours\" on the second "
	    "floor, the bell is out of order");
}

static void
put_change(struct buf *b, uint64_t i)
{
	bool update = i % 2 == 1;

	buf_addc(b, update ? 'U' : 'I');
	put_int(b, RELATION, 4);
	buf_addc(b, 'N');
	put_tuple(b, i / 2 + 1, update);
}

/* One long transaction: begin, the relation, the changes, no commit. */
static void
make_messages(size_t n)
{
	struct buf *b = &messages.bytes;

	buf_addc(b, 'B');
	put_int(b, UINT64_C(0x1A2B40000000), 8);
	put_int(b, UINT64_C(848668355949462), 8);
	put_int(b, 742, 4);
	end_part(&messages);
	put_relation(b);
	end_part(&messages);
	for (size_t i = 0; i < n; i++) {
		put_change(b, i);
		end_part(&messages);
	}
}

static struct event
decode(struct pgoutput *d, size_t i, enum pgoutput_status *status)
{
	struct event e = {0};

	pgoutput_feed(
	    d, part(&messages, i), UINT64_C(0x1A2B30000000) + i * 336, 0);
	*status = pgoutput_next(d, &e);
	e.source_id = VIEW_LIT("postgres-shop");
	return e;
}

/* The row as the server sends it: with id first and created_at last. */
static void
put_row_out(const struct event *e, uint64_t id)
{
	struct buf *b = &rows.bytes, row = BUF_INIT;

	if (rows.n == 0)
		copyrow_put_header(b);
	copyrow_put(&row, e);
	put_int(b, 15, 2);
	put_int(b, 8, 4);
	put_int(b, id, 8);
	buf_add(b, row.data + 2, row.len - 2);
	put_int(b, 8, 4);
	put_int(b, (uint64_t)e->event_time + 1500, 8);
	end_part(&rows);
	buf_release(&row);
}

static void
make_inputs(size_t n)
{
	struct pgoutput *d = pgoutput_new();
	enum pgoutput_status status;

	make_messages(n);
	for (size_t i = 0; i < messages.n; i++) {
		struct event e = decode(d, i, &status);

		if (status != PGOUTPUT_EVENT)
			continue;
		event_write(&lines.bytes, &e);
		lines.bytes.len--; /* line.c removes the newline */
		end_part(&lines);
		put_row_out(&e, i);
	}
	pgoutput_free(d);
}

static bool
read_messages(void)
{
	struct pgoutput *d = pgoutput_new();
	enum pgoutput_status status;
	struct buf out = BUF_INIT;

	for (size_t i = 0; i < messages.n; i++) {
		struct event e = decode(d, i, &status);

		if (status == PGOUTPUT_BAD)
			return false;
		if (status == PGOUTPUT_EVENT)
			event_write(&out, &e);
		if (out.len >= PIECE_BYTES || i + 1 == messages.n) {
			produced += out.len;
			buf_clear(&out);
		}
	}
	buf_release(&out);
	pgoutput_free(d);
	return true;
}

static bool
write_lines(void)
{
	struct event_reader r = {0};
	struct stream_line line;
	struct line_error e;
	struct buf out = BUF_INIT;

	for (size_t i = 0; i < lines.n; i++) {
		if (!event_read(&r, part(&lines, i), &line, &e))
			return false;
		copyrow_put(&out, &line.event);
		if (out.len >= PIECE_BYTES || i + 1 == lines.n) {
			produced += out.len;
			buf_clear(&out);
		}
	}
	buf_release(&out);
	event_reader_release(&r);
	return true;
}

static bool
batch_rows(void)
{
	const struct batch_limits limits = {BATCH_EVENTS, 64 * 1024 * 1024};
	struct batch_queue q = {0};
	struct batch b;
	struct event e;

	batch_queue_reset(&q, 0, 0);
	for (size_t i = 0; i < rows.n; i++) {
		if (copyrow_get(part(&rows, i), i == 0, &e) != COPYROW_EVENT ||
		    !batch_queue_add(&q, &e, 1))
			return false;
		if (!batch_cut(&q, &limits, i + 1 == rows.n, &b))
			continue;
		produced += batch_text(&q, &b).n;
		batch_pop(&q, &b);
		batch_queue_compact(&q);
	}
	batch_queue_release(&q);
	return true;
}

bool measured(const char *what);

__attribute__((noinline)) bool
measured(const char *what)
{
	if (strcmp(what, "reader") == 0)
		return read_messages();
	return strcmp(what, "writer") == 0 ? write_lines() : batch_rows();
}

static bool
known(const char *what)
{
	return strcmp(what, "reader") == 0 || strcmp(what, "writer") == 0 ||
	    strcmp(what, "batch") == 0;
}

int
main(int argc, char **argv)
{
	size_t n = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;

	if (n == 0 || !known(argv[1])) {
		fputs("usage: insn reader|writer|batch N\n", stderr);
		return 64;
	}
	messages.ends = calloc(n + 2, sizeof(*messages.ends));
	lines.ends = calloc(n, sizeof(*lines.ends));
	rows.ends = calloc(n, sizeof(*rows.ends));
	if (messages.ends == NULL || lines.ends == NULL || rows.ends == NULL) {
		fputs("insn: error: could not start: out of memory\n", stderr);
		return 71;
	}
	make_inputs(n);
	if (lines.n != n || !measured(argv[1])) {
		fputs("insn: error: could not process the input: "
		      "it was refused\n",
		    stderr);
		return 70;
	}
	printf("%" PRIu64 " bytes\n", produced);
	return 0;
}
