#include "batcher/peer.h"

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/num.h"
#include "stream/event_write.h"

/* Where the batch that is being sent stands, or the next one will. */
static struct peer_batch *
newest(struct peer *p)
{
	return &p->sent[(p->window.first + p->window.n) % ACK_WINDOW];
}

bool
peer_waits(const struct peer *p, struct peer_batch *oldest)
{
	bool waits = p->window.n > 0 || p->sending;

	if (waits && oldest != NULL)
		*oldest = p->sent[p->window.first];
	return waits;
}

void
peer_begin(struct peer *p, const struct peer_batch *b)
{
	if (!peer_waits(p, NULL))
		p->since = clock_ms();
	*newest(p) = *b;
	p->sending = true;
	p->queued = 0;
}

static void
queue_checkpoint(struct fdio_out *out, uint64_t id)
{
	char position[20];
	size_t n = num_format_u64(position, id);

	event_write_checkpoint(&out->b, (struct view){position, n});
}

bool
peer_queue(struct peer *p, struct fdio_out *out, const struct batch_queue *q,
    const struct batch *b)
{
	if (!p->sending)
		return false;
	if (!batch_piece(q, b, &p->queued, &out->b)) {
		queue_checkpoint(out, (uint64_t)b->last_id);
		ack_sent(&p->window, (uint64_t)b->last_id);
		p->sending = false;
	}
	return true;
}

void
peer_abandon(struct peer *p)
{
	/* its checkpoint may be queued already */
	if (!p->sending)
		p->window.n--;
	p->sending = false;
}

static int
mark_acked(struct peer *p, size_t first, size_t n)
{
	int rc = EXIT_DONE;

	p->heard = true;
	p->since = clock_ms();
	for (size_t i = 0; i < n && rc == EXIT_DONE; i++) {
		struct peer_batch *b = &p->sent[(first + i) % ACK_WINDOW];

		if (b->marks)
			rc = cursor_mark(p->session, b->source, &b->mark);
	}
	return rc;
}

static int
on_ack(struct peer *p, struct view text)
{
	size_t popped, first = p->window.first;
	uint64_t id;

	if (!num_parse_u64(text, &id))
		return ack_refuse(
		    &p->acks, text, "not the ack of a checkpoint");
	switch (ack_received(&p->window, id, &popped)) {
	case ACK_NEW:
		return mark_acked(p, first, popped);
	case ACK_OLD:
		return EXIT_DONE;
	case ACK_UNKNOWN:
		break;
	}
	return ack_refuse(&p->acks, text, "no such checkpoint was sent");
}

int
peer_read_acks(struct peer *p)
{
	struct view text;
	int rc;

	while ((rc = ack_channel_next(&p->acks, &text)) == EXIT_DONE &&
	    text.p != NULL) {
		rc = on_ack(p, text);
		if (rc != EXIT_DONE)
			break;
	}
	return rc;
}

void
peer_forget(struct peer *p)
{
	p->window.n = 0;
	p->sending = false;
}
