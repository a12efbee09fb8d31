#include "batcher/handler.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "base/signals.h"

/* together less than the supervisor waits for us to stop */
#define STOP_MS      5000 /* for the handler to end after a stop request */
#define STATUS_LATER 75
#define BLIND_MS     100 /* between polls of a child without a connection */

struct run {
	struct child child;
	const struct batch_queue *queue;
	const struct batch *batch;
	struct view source;
	size_t queued; /* bytes of the batch, so far */
	bool closed;   /* all was written, or writing failed */
	bool lost;     /* writing failed */
	bool ended;
	struct child_end end;
	int64_t deadline;
};

/* In the child */

static void
set_number(const char *name, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	setenv(name, text, 1);
}

static void
name_batch(const void *arg)
{
	const struct run *run = arg;
	const struct batch *b = run->batch;
	struct buf name = BUF_INIT;

	buf_addv(&name, run->source);
	if (buf_str(&name) != NULL)
		setenv("PHILOTES_BATCH_SOURCE", name.data, 1);
	set_number("PHILOTES_BATCH_FIRST_ID", (uint64_t)b->first_id);
	set_number("PHILOTES_BATCH_LAST_ID", (uint64_t)b->last_id);
	set_number("PHILOTES_BATCH_EVENTS", b->events);
	buf_release(&name);
}

/* In the parent */

/* Exit 0 alone is not enough: a handler that does not read all of its input has
 * not processed it. */
static bool
all_was_read(const struct run *run)
{
	return run->closed && !run->lost && child_has_read(&run->child);
}

static void
push(struct run *run)
{
	struct fdio_out *in = &run->child.in;

	while (!run->closed) {
		if (fdio_out_flush(in) != EXIT_DONE)
			run->lost = true;
		else if (fdio_out_pending(in) > 0)
			return;
		run->closed = run->lost ||
		    !batch_piece(run->queue, run->batch, &run->queued, &in->b);
	}
	fdio_out_close(in);
}

static void
enforce_deadline(struct run *run)
{
	struct child *c = &run->child;

	if (signals_stop_requested() && c->killed == 0 &&
	    run->deadline > clock_ms() + STOP_MS)
		run->deadline = clock_ms() + STOP_MS;
	if (clock_left(run->deadline) > 0)
		return;
	child_kill(c);
	run->deadline = child_kill_at(c);
}

static void
look_for_end(struct run *run, const char *name, struct handler_result *r)
{
	bool read;

	run->ended = child_ended(&run->child, &run->end);
	if (!run->ended)
		return;
	read = all_was_read(run);
	child_reap(&run->child, read && run->end.code == 0 && !run->end.killed);
	handler_judge(r, name, &run->end, read ? NULL : "input not read");
}

/* Feeds the child until it ends. */
static int
attend(struct run *run, struct prefetch *p, const char *name,
    struct handler_result *r)
{
	struct child *c = &run->child;
	struct pollfd fds[2];
	int rc = EXIT_DONE;

	while (!run->ended) {
		push(run);
		child_listen(c);
		fds[0] = (struct pollfd){
		    run->closed ? -1 : c->in.fd, POLLOUT, 0};
		fds[1] = (struct pollfd){child_err(c), POLLIN, 0};
		enforce_deadline(run);
		/* report a lost connection after the child has ended */
		if (rc == EXIT_DONE)
			rc = prefetch_wait(
			    p, fds, 2, clock_left(run->deadline));
		else
			poll(fds, 2, BLIND_MS);
		look_for_end(run, name, r);
	}
	return rc;
}

static enum handler_answer
answer(const struct child_end *end)
{
	if (end->code == STATUS_LATER && !end->killed)
		return HANDLER_LATER;
	if ((end->code == 126 || end->code == 127) && !end->killed)
		return HANDLER_CANNOT;
	return HANDLER_FAILED;
}

void
handler_judge(struct handler_result *r, const char *name,
    const struct child_end *end, const char *undone)
{
	r->answer = answer(end);
	if (end->killed) {
		snprintf(r->status, sizeof(r->status), "timeout");
		log_warning("handler \"%s\" did not end in time and was "
			    "killed",
		    name);
	} else if (end->code < 0) {
		snprintf(r->status, sizeof(r->status), "signal %d", -end->code);
		log_warning(
		    "handler \"%s\" was killed by signal %d", name, -end->code);
	} else if (end->code != 0) {
		snprintf(r->status, sizeof(r->status), "exit %d", end->code);
		log_warning("handler \"%s\" exited with %d", name, end->code);
	} else if (undone != NULL) {
		snprintf(r->status, sizeof(r->status), "exit 0, %s", undone);
		log_warning("handler \"%s\" exited with 0: %s", name, undone);
	} else {
		r->answer = HANDLER_PROCESSED;
	}
}

int
handler_run(const struct handler *h, struct prefetch *p,
    const struct batch_queue *q, const struct batch *b, struct view source,
    struct handler_result *r)
{
	struct run run = {
	    .child = {.argv = h->argv,
		.guard = &h->guard,
		.keep_stderr = h->keep_stderr,
		.tail = r->stderr_tail},
	    .queue = q,
	    .batch = b,
	    .source = source,
	    .deadline = INT64_MAX,
	};
	int rc = child_start(&run.child, name_batch, &run);

	if (rc == EXIT_DONE) {
		if (h->timeout_ms > 0)
			run.deadline = clock_ms() + h->timeout_ms;
		rc = attend(&run, p, h->argv[0], r);
		child_tidy(&run.child);
	}
	r->stderr_tail = run.child.tail;
	return rc;
}
