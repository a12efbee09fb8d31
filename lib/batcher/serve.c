#include "batcher/serve.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "base/signals.h"

#define END_MS   10000 /* to acknowledge and end, after the end of its input */
#define QUIET_MS 10000 /* with once: without a first ack; see end_if_quiet */
#define EOF_MS   1000  /* from the end of its stdout to its own */
#define LOOK_MS  1000  /* between looks at what it has read */
#define BLIND_MS 100   /* between polls without a connection */

/* Start and end of a command */

/* What a command a batch has in its environment says nothing here. */
static void
name_mode(const void *arg)
{
	static const char *const batch[] = {"PHILOTES_BATCH_SOURCE",
	    "PHILOTES_BATCH_FIRST_ID", "PHILOTES_BATCH_LAST_ID",
	    "PHILOTES_BATCH_EVENTS"};

	(void)arg;
	for (size_t i = 0; i < sizeof(batch) / sizeof(*batch); i++)
		unsetenv(batch[i]);
	setenv("PHILOTES_HANDLER", "serve", 1);
}

static bool
runs(const struct serve *s)
{
	return s->child.pid != 0;
}

void
serve_open(struct serve *s)
{
	s->child.argv = s->handler->argv;
	s->child.guard = &s->handler->guard;
	s->child.keep_stderr = s->handler->keep_stderr;
	s->child.answers = true;
}

static int
start(struct serve *s)
{
	int rc = child_start(&s->child, name_mode, NULL);

	s->closed_at = s->eof_at = 0;
	s->peer->heard = false;
	if (rc == EXIT_DONE)
		rc = ack_channel_take(
		    &s->peer->acks, s->child.out, "the handler");
	return rc;
}

static void
end_input(struct serve *s)
{
	if (!runs(s))
		return;
	s->closed_at = clock_ms();
	fdio_out_close(&s->child.in);
}

/* The batch that waited longest has failed. */
static void
fail(struct serve *s, const struct child_end *end)
{
	struct handler_result *r = &s->result;

	s->failed = true;
	if (end->killed) {
		r->answer = HANDLER_FAILED;
		snprintf(r->status, sizeof(r->status), "%s", s->why);
	} else {
		handler_judge(r, s->handler->argv[0], end, "not acknowledged");
	}
	child_tidy(&s->child);
	buf_clear(&r->stderr_tail);
	buf_addv(&r->stderr_tail, buf_view(&s->child.tail));
}

/* It has ended while no batch waited: nothing is lost. */
static void
log_end(const struct serve *s, const struct child_end *end)
{
	const char *name = s->handler->argv[0];

	if (end->killed)
		return;
	if (end->code < 0)
		log_warning(
		    "handler \"%s\" was killed by signal %d", name, -end->code);
	else if (end->code > 0)
		log_warning("handler \"%s\" exited with %d", name, end->code);
	else
		log_info("handler \"%s\" exited with 0", name);
}

static void
bury(struct serve *s, const struct child_end *end)
{
	bool waits = peer_waits(s->peer, &s->lost);

	child_reap(&s->child, !waits && end->code == 0 && !end->killed);
	if (waits)
		fail(s, end);
	else
		log_end(s, end);
	ack_channel_close(&s->peer->acks);
	peer_forget(s->peer);
}

/* Time limits */

/* When to kill it. */
static int64_t
deadline(struct serve *s)
{
	bool waits = peer_waits(s->peer, NULL);
	int64_t ack = INT64_MAX, end = INT64_MAX, eof = INT64_MAX;

	if (!runs(s) || s->child.killed != 0)
		return runs(s) ? child_kill_at(&s->child) : INT64_MAX;
	if (waits && s->handler->timeout_ms > 0)
		ack = s->peer->since + s->handler->timeout_ms;
	if (s->closed_at != 0 && (!waits || signals_stop_requested()))
		end = s->closed_at + END_MS;
	if (s->eof_at != 0 && (waits || s->closed_at == 0))
		eof = s->eof_at + EOF_MS;
	s->why = eof < clock_earlier(ack, end) ? "closed stdout" : "timeout";
	return clock_earlier(eof, clock_earlier(ack, end));
}

static void
enforce_deadline(struct serve *s)
{
	const char *what = "did not end in time";

	if (clock_left(deadline(s)) > 0)
		return;
	if (s->eof_at != 0)
		what = "has closed its stdout";
	else if (peer_waits(s->peer, NULL))
		what = "has acknowledged nothing in time";
	if (s->child.killed == 0)
		log_warning("handler \"%s\" %s and is killed",
		    s->handler->argv[0], what);
	child_kill(&s->child);
}

/*
 * With once it may be waiting for the end of its input before it sends an ack.
 * So if it has read everything and never sent an ack in QUIET_MS, its input
 * ends; the next batches go to a new command.
 */
static void
end_if_quiet(struct serve *s)
{
	if (!s->once || s->prompt || s->closed_at != 0 || !runs(s) ||
	    clock_left(s->peer->since + QUIET_MS) > 0 ||
	    !child_has_read(&s->child))
		return;
	log_warning("handler \"%s\" has acknowledged nothing for %d s: its "
		    "input ends",
	    s->handler->argv[0], QUIET_MS / 1000);
	log_hint("If it acknowledges at the end of its input only, --window N "
		 "gives it N batches before that.");
	end_input(s);
}

/* Waiting */

/* Looks at what has come from the command. */
static int
look(struct serve *s)
{
	struct child_end end;
	bool ended;
	int rc;

	if (!runs(s))
		return EXIT_DONE;
	child_listen(&s->child);
	/* before its acks are read: then none is missed */
	ended = child_ended(&s->child, &end);
	rc = peer_read_acks(s->peer);
	s->prompt = s->prompt || (s->peer->heard && s->closed_at == 0);
	if (rc == EXIT_PROTOCOL)
		child_kill(&s->child);
	if (rc != EXIT_DONE)
		return rc;
	if (s->peer->acks.eof && s->eof_at == 0)
		s->eof_at = clock_ms();
	if (ended)
		bury(s, &end);
	else
		enforce_deadline(s);
	return EXIT_DONE;
}

/* Waits for something to happen, up to `until` at most. */
static int
await(struct serve *s, bool writing, int64_t until)
{
	struct pollfd p[] = {
	    {writing ? s->child.in.fd : -1, POLLOUT, 0},
	    {runs(s) && s->eof_at == 0 ? s->peer->acks.fd : -1, POLLIN, 0},
	    {child_err(&s->child), POLLIN, 0},
	};
	int rc;

	until = clock_earlier(until, deadline(s));
	rc = prefetch_wait(s->prefetch, p, 3, clock_left(until));
	return rc == EXIT_DONE ? look(s) : rc;
}

/* Waits for acks. */
static int
await_acks(struct serve *s)
{
	bool quiet = s->once && !s->prompt && s->closed_at == 0;
	int64_t until = quiet ? s->peer->since + QUIET_MS : INT64_MAX;

	end_if_quiet(s);
	/* if it has not read everything by then, look again later */
	if (quiet && clock_left(until) == 0)
		until = clock_ms() + LOOK_MS;
	return await(s, false, until);
}

static bool
goes_on(const struct serve *s)
{
	return !s->failed && !signals_stop_requested();
}

/* Batches */

/* Waits until a command runs that may get a batch. */
static int
make_room(struct serve *s)
{
	int rc = look(s);

	while (rc == EXIT_DONE && goes_on(s)) {
		if (!runs(s))
			return start(s);
		if (s->closed_at == 0 && s->eof_at == 0 &&
		    s->peer->window.n < s->window)
			break;
		rc = await_acks(s);
	}
	return rc;
}

/* Writes what is queued. */
static int
push(struct serve *s)
{
	int rc = fdio_out_flush(&s->child.in);

	while (rc == EXIT_DONE && goes_on(s) && runs(s) &&
	    fdio_out_pending(&s->child.in) > 0) {
		rc = await(s, true, INT64_MAX);
		if (rc == EXIT_DONE && runs(s))
			rc = fdio_out_flush(&s->child.in);
	}
	return rc;
}

/* Sends the batch; *sent is false if a stop request kept it from that. */
static int
send_batch(struct serve *s, const struct batch_queue *q, const struct batch *b,
    bool *sent)
{
	int rc = EXIT_DONE;

	while (rc == EXIT_DONE && goes_on(s) && runs(s) &&
	    peer_queue(s->peer, &s->child.in, q, b))
		rc = push(s);
	*sent = !s->peer->sending && fdio_out_pending(&s->child.in) == 0;
	if (rc == EXIT_DONE && runs(s) && !*sent)
		peer_abandon(s->peer);
	return rc == EXIT_DONE ? look(s) : rc;
}

int
serve_send(struct serve *s, struct view source, const struct batch_queue *q,
    const struct batch *b, bool marks, enum serve_state *state)
{
	struct peer_batch batch = {
	    source, batch_mark(q, b), b->first_id, marks};
	bool sent = false;
	int rc;

	s->failed = false;
	rc = make_room(s);
	if (rc == EXIT_DONE && goes_on(s)) {
		peer_begin(s->peer, &batch);
		rc = send_batch(s, q, b, &sent);
	}
	*state = s->failed ? SERVE_FAILED : sent ? SERVE_GOOD : SERVE_STOPPED;
	return rc;
}

int
serve_settle(struct serve *s, enum serve_state *state)
{
	int rc = EXIT_DONE;

	s->failed = false;
	while (rc == EXIT_DONE && goes_on(s) && peer_waits(s->peer, NULL))
		rc = await_acks(s);
	if (rc == EXIT_DONE && signals_stop_requested())
		rc = serve_end(s);
	*state = s->failed ? SERVE_FAILED : SERVE_GOOD;
	return rc;
}

int
serve_run(struct serve *s, const struct batch_queue *q, const struct batch *b,
    struct view source, struct handler_result *r)
{
	enum serve_state state;
	int rc;

	child_listen(&s->child);
	buf_clear(&s->child.tail);
	rc = serve_send(s, source, q, b, false, &state);
	if (rc == EXIT_DONE && state == SERVE_GOOD)
		rc = serve_settle(s, &state);
	r->answer = state == SERVE_GOOD ? HANDLER_PROCESSED : HANDLER_FAILED;
	if (state != SERVE_FAILED)
		return rc;
	r->answer = s->result.answer;
	memcpy(r->status, s->result.status, sizeof(r->status));
	buf_clear(&r->stderr_tail);
	buf_addv(&r->stderr_tail, buf_view(&s->result.stderr_tail));
	return rc;
}

int
serve_idle(struct serve *s, int64_t wait_ms)
{
	return await(s, false, clock_ms() + wait_ms);
}

int
serve_end(struct serve *s)
{
	int rc = EXIT_DONE;

	end_input(s);
	while (rc == EXIT_DONE && runs(s))
		rc = await(s, false, INT64_MAX);
	return rc;
}

void
serve_close(struct serve *s)
{
	bool waits = peer_waits(s->peer, NULL);
	struct child_end end;

	peer_forget(s->peer);
	end_input(s);
	while (runs(s)) {
		struct pollfd p = {child_err(&s->child), POLLIN, 0};

		child_listen(&s->child);
		if (child_ended(&s->child, &end))
			child_reap(
			    &s->child, !waits && end.code == 0 && !end.killed);
		else if (poll(&p, 1, BLIND_MS) >= 0)
			enforce_deadline(s);
	}
	child_release(&s->child);
	buf_release(&s->result.stderr_tail);
}
