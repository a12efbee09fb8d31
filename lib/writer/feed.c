#include "writer/feed.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "base/signals.h"
#include "buffer/copyrow.h"

#define HOLD_BYTES ((size_t)512 * 1024) /* held: take no further event */
#define GIVE_BYTES ((size_t)64 * 1024)  /* complete: give them to copyin */

/* Names a row of the COPY in progress, counted from 1. */
static void
name_row(const void *arg, uint64_t row, struct buf *to)
{
	const struct feed *f = arg;

	rowmap_describe(&f->rowmap, f->copy.before + row - 1, to);
}

void
feed_init(struct feed *f, int out_fd)
{
	fdio_out_init(&f->out, out_fd, "stdout");
}

int
feed_source(struct feed *f, struct view source, const struct copyin_mark *known)
{
	f->copy.pg->name_row = name_row;
	f->copy.pg->name_row_arg = f;
	copyin_source(&f->copy, source, known);
	f->checkpoint = known->checkpoint;
	f->next = (struct copyin_mark){.timeline = known->timeline};
	if (!f->copy.source.failed)
		return EXIT_DONE;
	log_error("could not store the name of a source: out of memory");
	return EXIT_OS;
}

/* From the stream */

void
feed_touch(struct feed *f)
{
	if (f->began_ms == 0)
		f->began_ms = clock_ms();
}

int
feed_row(struct feed *f, const struct event *e, uint64_t line)
{
	const struct row_origin at = {line, e->commit_lsn, e->seq};

	copyrow_put(&f->rows, e);
	f->count++;
	marks_take(&f->marks, e);
	if (rowmap_add(&f->rowmap, &at) && !f->rows.failed &&
	    !f->marks.json.failed)
		return EXIT_DONE;
	log_error("could not encode a row: out of memory");
	return EXIT_OS;
}

int
feed_schema(struct feed *f, struct view text)
{
	if (splits_add(&f->splits, f->rows.len, f->count, text))
		return EXIT_DONE;
	log_error("could not keep a schema line: out of memory");
	return EXIT_OS;
}

static bool
time_is_up(const struct feed *f)
{
	return f->began_ms != 0 &&
	    clock_ms() - f->began_ms >= f->flush_interval;
}

void
feed_boundary(struct feed *f, uint64_t commit_lsn, uint64_t seq)
{
	f->inside = f->streaming = false;
	f->complete = f->rows.len;
	f->complete_count = f->count;
	f->next.commit_lsn = commit_lsn;
	f->next.seq = seq;
	marks_boundary(&f->marks);
	if (f->handed + f->count >= f->batch_size || time_is_up(f) ||
	    marks_are_many(&f->marks))
		f->due = true;
}

void
feed_checkpoint(struct feed *f, struct view ack, uint64_t lsn)
{
	if (lsn > f->next.checkpoint)
		f->next.checkpoint = lsn;
	buf_clear(&f->ack);
	buf_addv(&f->ack, ack);
}

bool
feed_drop(struct feed *f)
{
	if (f->streaming)
		return false;
	rowmap_drop(&f->rowmap, f->count - f->complete_count);
	marks_drop(&f->marks);
	splits_drop(&f->splits, f->complete);
	f->rows.len = f->complete;
	f->count = f->complete_count;
	f->inside = false;
	return true;
}

bool
feed_takes(const struct feed *f)
{
	return !f->due && f->rows.len < HOLD_BYTES;
}

bool
feed_has_much(const struct feed *f)
{
	return f->rows.len - f->looked >= GIVE_BYTES;
}

/* To the server */

static void
move(struct buf *to, struct buf *from)
{
	struct buf old = *to;

	*to = *from;
	*from = old;
	buf_clear(from);
}

/* Is there anything to commit or acknowledge? */
static bool
uncommitted(const struct feed *f)
{
	return f->handed + f->complete_count > 0 ||
	    f->next.checkpoint > f->checkpoint || f->ack.len > 0 ||
	    f->rejects.unsynced > 0;
}

/* Gives copyin rows: so many bytes, of so many rows, but not beyond the next
 * split. */
static void
hand_on(struct feed *f, size_t bytes, uint64_t count)
{
	const struct split *next = splits_first(&f->splits);

	f->cut = false;
	if (count == 0)
		return;
	if (next != NULL && next->at == 0) {
		splits_take(&f->splits, &f->copy.schema);
		next = splits_first(&f->splits);
	}
	if (next != NULL && next->at < bytes) {
		f->cut = true;
		bytes = next->at;
		count = next->rows;
	}
	copyin_rows(&f->copy, &f->rows, bytes, count);
	splits_shift(&f->splits, bytes, count);
	f->handed += count;
	f->count -= count;
	f->complete -= bytes < f->complete ? bytes : f->complete;
	f->complete_count -= count < f->complete_count ? count
						       : f->complete_count;
}

/* Gives all complete rows to copyin and has it commit, unless a split comes
 * first. */
static int
begin_commit(struct feed *f)
{
	struct copyin_mark mark = f->next;
	int rc = rejects_sync(&f->rejects);

	if (rc != EXIT_DONE)
		return rc;
	hand_on(f, f->complete, f->complete_count);
	if (f->cut) {
		f->due = true;
		return EXIT_DONE;
	}
	if (f->handed == 0)
		mark.seq = 0;
	if (mark.checkpoint <= f->checkpoint)
		mark.checkpoint = 0;
	else
		f->checkpoint = mark.checkpoint;
	if (f->handed > 0 || mark.checkpoint != 0) {
		marks_move(&f->marks, &f->copy.marks);
		copyin_commit(&f->copy, &mark);
		move(&f->ack_under_way, &f->ack);
	} else {
		move(&f->ack_due, &f->ack); /* stored by an earlier commit */
	}
	f->handed = 0;
	f->due = false;
	f->began_ms = f->inside ? clock_ms() : 0;
	return EXIT_DONE;
}

/* copyin takes rows now: begins a commit, or gives it rows. */
static int
give(struct feed *f, bool dry)
{
	/* the transaction is too large to hold: commit what is complete, then
	 * stream it in a database transaction of its own */
	bool outgrown = f->rows.len >= HOLD_BYTES && f->complete < GIVE_BYTES;
	int rc = EXIT_DONE;

	f->cut = false;
	if (!f->streaming && uncommitted(f) &&
	    (f->due || outgrown || (dry && (!f->inside || time_is_up(f)))))
		rc = begin_commit(f);
	if (rc != EXIT_DONE || f->copy.closing || f->cut)
		return rc;
	f->due = false;
	f->streaming = f->streaming || outgrown;
	if (f->streaming)
		hand_on(f, f->rows.len, f->count);
	else if (f->complete >= GIVE_BYTES)
		hand_on(f, f->complete, f->complete_count);
	return EXIT_DONE;
}

/* To stdout */

/* Acks are cumulative, so while stdout is blocked only the last one is kept.
 * Each ack is one write(2), which a pipe takes as a whole. */
static int
send_ack(struct feed *f)
{
	int rc = fdio_out_flush(&f->out);

	if (rc != EXIT_DONE || fdio_out_pending(&f->out) > 0 ||
	    f->ack_due.len == 0)
		return rc;
	buf_addv(&f->out.b, buf_view(&f->ack_due));
	buf_addc(&f->out.b, '\n');
	buf_clear(&f->ack_due);
	return fdio_out_flush(&f->out);
}

int
feed_step(struct feed *f, bool dry)
{
	int rc = copyin_step(&f->copy);

	if (rc == EXIT_DONE && f->copy.state == COPYIN_CLOSED &&
	    f->ack_under_way.len > 0)
		move(&f->ack_due, &f->ack_under_way);
	f->cut = true;
	while (rc == EXIT_DONE && f->cut && copyin_takes(&f->copy)) {
		rc = give(f, dry);
		if (rc == EXIT_DONE)
			rc = copyin_step(&f->copy);
	}
	f->looked = f->rows.len;
	return rc == EXIT_DONE ? send_ack(f) : rc;
}

/* Waiting */

/* The earlier of two times; 0 is never. */
static int64_t
earlier(int64_t a, int64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

static int
time_left(const struct feed *f, int64_t until)
{
	until = earlier(until, copyin_deadline(&f->copy));
	until = earlier(until, f->gone_by);
	if (f->inside && !f->streaming && uncommitted(f) &&
	    copyin_takes(&f->copy))
		until = earlier(until, f->began_ms + f->flush_interval);
	if (until == 0)
		return -1;
	return clock_left(until) > INT_MAX ? INT_MAX : (int)clock_left(until);
}

static int
ack_reader_gone(const struct feed *f)
{
	log_error("could not write \"%s\": %s", f->out.name, strerror(EPIPE));
	return EXIT_IO;
}

/* A reader of the acks that ends before stdin does is an error only after
 * STOP_GRACE_MS: at the end of the stream it has all acks and exits, and our
 * end of file may arrive later. */
int
feed_wait(struct feed *f, int in_fd, int64_t until, bool *readable)
{
	bool pending = fdio_out_pending(&f->out) > 0;
	bool watched = pending || (f->acked && in_fd != -1 && f->gone_by == 0);
	struct pollfd p[4] = {
	    {PQsocket(f->copy.pg->conn), copyin_events(&f->copy), 0},
	    {watched ? f->out.fd : -1, pending ? POLLOUT : 0, 0},
	    /* a stop requested earlier does not end the wait */
	    {signals_stop_requested() ? -1 : signals_fd(), POLLIN, 0},
	    {in_fd, POLLIN, 0},
	};

	*readable = false;
	if (poll(p, 4, time_left(f, until)) <= 0)
		return f->gone_by != 0 && clock_left(f->gone_by) == 0
		    ? ack_reader_gone(f)
		    : EXIT_DONE;
	if (p[2].revents != 0)
		signals_drain();
	*readable = p[3].revents != 0;
	/* the producer may have written lines before it exited */
	if (*readable || (p[1].revents & (POLLERR | POLLHUP)) == 0)
		return EXIT_DONE;
	if (pending)
		return ack_reader_gone(f);
	f->gone_by = clock_ms() + STOP_GRACE_MS;
	return EXIT_DONE;
}

int
feed_settle(struct feed *f)
{
	int64_t until = 0;
	bool readable;
	int rc;

	f->due = true;
	while ((rc = feed_step(f, false)) == EXIT_DONE &&
	    (f->due || f->copy.state != COPYIN_CLOSED)) {
		if (signals_stop_requested() && until == 0)
			until = clock_ms() + STOP_GRACE_MS;
		if (until != 0 && clock_left(until) == 0) {
			log_error("could not commit: stopped while the server "
				  "did not answer");
			return EXIT_RETRY;
		}
		rc = feed_wait(f, -1, until, &readable);
		if (rc != EXIT_DONE)
			break;
	}
	return rc;
}

int
feed_finish(struct feed *f)
{
	int rc = feed_settle(f);

	if (rc == EXIT_DONE)
		rc = fdio_out_drain(&f->out, STOP_GRACE_MS);
	if (rc == EXIT_DONE)
		rc = send_ack(f);
	return rc == EXIT_DONE ? fdio_out_drain(&f->out, STOP_GRACE_MS) : rc;
}

int
feed_release(struct feed *f)
{
	copyin_release(&f->copy);
	rejects_close(&f->rejects);
	rowmap_release(&f->rowmap);
	marks_release(&f->marks);
	splits_release(&f->splits);
	buf_release(&f->rows);
	buf_release(&f->ack);
	buf_release(&f->ack_under_way);
	buf_release(&f->ack_due);
	return fdio_out_close(&f->out);
}
