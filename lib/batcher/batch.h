/*
 * A queue of prefetched events, as lines of the stream, and the batches it is
 * cut into: consecutive lines of one source, limited in number and bytes.
 *
 *	text:  | popped | batch | prefetched |
 *	                ^ head
 *
 * A batch is a range of lines counted from the head, so it stays valid while
 * lines are added after it.
 */
#ifndef BATCH_H
#define BATCH_H

#include "base/buf.h"
#include "batcher/schema_book.h"
#include "stream/event.h"
#include "stream/safe_numbers.h"

struct batch_limits {
	uint64_t events;
	uint64_t bytes; /* newlines included */
};

struct batch_line {
	int64_t id;
	int64_t write_no; /* the row of cdc_writes that holds it */
	uint32_t schema;  /* the schema line in force for it; 0: none */
	size_t len;
};

/* Zero-initialise; set numbers.on before the first line is added. */
struct batch_queue {
	struct safe_numbers numbers;
	struct schema_book *book; /* NULL: batches have no schema lines */
	struct buf text;
	size_t head;              /* bytes popped */
	struct batch_line *lines; /* from the head on */
	size_t n;
	size_t room;
	/* lines and bytes known to belong to the next batch */
	size_t cut;
	size_t cut_len;
	/* the event before the first line: its id, and the source's running
	 * total of events up to it */
	int64_t last_id;
	uint64_t total;
};

struct batch {
	size_t from; /* lines and bytes before it in the queue */
	size_t at;
	size_t len;
	uint64_t events;
	int64_t first_id; /* of its first and last event */
	int64_t last_id;
};

/* The row of cdc_batches that marks a batch as processed. */
struct batch_mark {
	int64_t first_id; /* the previous mark's last_id + 1 */
	int64_t last_id;
	uint64_t events;
	uint64_t total;
	int64_t write_no;
};

/* Empties it; the line added next follows the event last_id. */
void batch_queue_reset(struct batch_queue *q, int64_t last_id, uint64_t total);

/* False: out of memory. */
bool batch_queue_add(
    struct batch_queue *q, const struct event *e, int64_t write_no);

/* Makes the memory of popped lines free for new ones. */
void batch_queue_compact(struct batch_queue *q);

void batch_queue_release(struct batch_queue *q);

/* The bytes of all lines in it. */
static inline size_t
batch_queue_len(const struct batch_queue *q)
{
	return q->text.len - q->head;
}

/*
 * Cuts the batch at the head.  False: it is incomplete.  A batch is complete
 * if it has as many events as allowed, or if the next line would exceed the
 * bytes allowed; its first line may be of any length.  With `all`, all lines
 * are a batch, too, if there are any.
 */
bool batch_cut(struct batch_queue *q, const struct batch_limits *l, bool all,
    struct batch *b);

/* The n events of b after its first `skip`. */
struct batch batch_part(const struct batch_queue *q, const struct batch *b,
    uint64_t skip, uint64_t n);

/* Its lines; valid until the queue changes. */
struct view batch_text(const struct batch_queue *q, const struct batch *b);

/*
 * Appends the next piece of what is written of the batch: its lines, and schema
 * lines between them.  *done counts the bytes so far.  False: there were no
 * more.  A batch is written by pieces, because each wait may move the queue.
 */
bool batch_piece(const struct batch_queue *q, const struct batch *b,
    size_t *done, struct buf *to);

struct batch_mark batch_mark(
    const struct batch_queue *q, const struct batch *b);

/* Removes the batch, which must be at the head. */
void batch_pop(struct batch_queue *q, const struct batch *b);

#endif
