/*
 * Events that were read ahead, as lines of the stream, and the batches they
 * are cut into: consecutive lines of one source, limited in number and bytes.
 *
 *	text:  | popped | batch | read ahead |
 *	                ^ head
 *
 * A batch is a place in the queue, counted from its head, so it stays what it
 * is while lines are added behind it.
 */
#ifndef BATCH_H
#define BATCH_H

#include "base/buf.h"
#include "stream/event.h"

struct batch_limits {
	uint64_t events;
	uint64_t bytes; /* newlines included */
};

struct batch_line {
	int64_t id;
	int64_t write_no; /* the row of cdc_writes that holds it */
	size_t len;
};

/* Zero-initialise. */
struct batch_queue {
	struct buf text;
	size_t head;              /* bytes popped */
	struct batch_line *lines; /* from the head on */
	size_t n;
	size_t room;
	/* of the next batch: found to belong to it so far */
	size_t cut;
	size_t cut_len;
	/* the position before the first line */
	int64_t last_id;
	uint64_t total; /* of the source's events, up to there */
};

struct batch {
	size_t from; /* lines and bytes before it in the queue */
	size_t at;
	size_t len;
	uint64_t events;
	int64_t first_id; /* of its first and last event */
	int64_t last_id;
};

/* What a consumer's cursor becomes by a batch. */
struct batch_mark {
	int64_t first_id; /* after the event before */
	int64_t last_id;
	uint64_t events;
	uint64_t total;
	int64_t write_no;
};

/* Empties it; what is added next follows the event last_id. */
void batch_queue_reset(struct batch_queue *q, int64_t last_id, uint64_t total);

/* False: out of memory. */
bool batch_queue_add(
    struct batch_queue *q, const struct event *e, int64_t write_no);

/* Gives the memory of what was popped back to what will be added. */
void batch_queue_compact(struct batch_queue *q);

void batch_queue_release(struct batch_queue *q);

/* Bytes of the lines in it. */
static inline size_t
batch_queue_len(const struct batch_queue *q)
{
	return q->text.len - q->head;
}

/*
 * The batch at the head, if it is complete: it has as many events as it may, or
 * the next line would take it beyond its bytes.  The first line always belongs
 * to it, however long.  With `all`, what there is, if anything.
 */
bool batch_cut(struct batch_queue *q, const struct batch_limits *l, bool all,
    struct batch *b);

/* n events of b, after its first `skip`. */
struct batch batch_part(const struct batch_queue *q, const struct batch *b,
    uint64_t skip, uint64_t n);

/* Its lines, until the queue changes. */
struct view batch_text(const struct batch_queue *q, const struct batch *b);

struct batch_mark batch_mark(
    const struct batch_queue *q, const struct batch *b);

/* Takes the batch, which must be at the head, off the queue. */
void batch_pop(struct batch_queue *q, const struct batch *b);

#endif
