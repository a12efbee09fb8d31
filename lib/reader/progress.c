#include "reader/progress.h"

#define BUSY_MS    10    /* between checkpoints under load */
#define IDLE_MS    10000 /* between checkpoints without events */
#define IDLE_BYTES (UINT64_C(16) * 1024 * 1024)

void
progress_start(struct progress *p, uint64_t lsn, int64_t now)
{
	p->acked = true;
	p->received = p->complete = p->checkpoint = p->durable = lsn;
	/* the first idle position is due at once */
	p->checkpoint_at = now - IDLE_MS;
}

void
progress_receive(struct progress *p, uint64_t lsn)
{
	if (lsn > p->received)
		p->received = lsn;
}

void
progress_complete(struct progress *p, uint64_t lsn)
{
	progress_receive(p, lsn);
	if (lsn > p->complete)
		p->complete = lsn;
}

bool
progress_waits(const struct progress *p)
{
	return p->acked && p->complete > p->checkpoint && !ack_full(&p->window);
}

/* Checkpoints without events are limited: each makes a row of cdc_writes, which
 * is new WAL if buffer and source share a cluster. */
bool
progress_due(const struct progress *p, int64_t now, bool dry, bool asked)
{
	if (!progress_waits(p))
		return false;
	if (p->events)
		return dry || now - p->checkpoint_at >= BUSY_MS;
	return asked || p->complete - p->checkpoint >= IDLE_BYTES ||
	    now - p->checkpoint_at >= IDLE_MS;
}

int64_t
progress_due_at(const struct progress *p)
{
	return progress_waits(p) ? p->checkpoint_at + IDLE_MS : INT64_MAX;
}

void
progress_sent(struct progress *p, int64_t now)
{
	ack_sent(&p->window, p->complete);
	p->checkpoint = p->complete;
	p->checkpoint_at = now;
	p->events = false;
}

bool
progress_settled(const struct progress *p)
{
	return !p->acked || (p->window.n == 0 && p->checkpoint >= p->complete);
}

enum ack_status
progress_acknowledge(struct progress *p, uint64_t lsn)
{
	size_t popped;
	enum ack_status status = ack_received(&p->window, lsn, &popped);

	/* never back: the server would not check that */
	if (status == ACK_NEW && lsn > p->durable)
		p->durable = lsn;
	return status;
}
