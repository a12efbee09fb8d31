/*
 * A run goes through the phases in order.  WRITING and WAITING end it: the
 * last checkpoint is out, stdout is closed, the acks come in.
 */
#include "reader/reader.h"

#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/signals.h"
#include "pg/pg_connect.h"
#include "reader/decode.h"
#include "reader/heartbeat.h"
#include "reader/liveness.h"
#include "reader/preflight.h"
#include "reader/progress.h"
#include "reader/repeat.h"
#include "reader/sweep.h"
#include "reader/walsender.h"
#include "stream/event_write.h"

#define OUT_BYTES      ((size_t)256 * 1024) /* queued before we stop reading */
#define MESSAGES       10000 /* looked at before the rest has its turn */
#define DOZE_US        150   /* lets the server fill the socket */
#define TRANSACTION_MS 3000  /* to its end, once we are to stop */
#define ACK_MS         10000 /* for the last acks */
#define LAST_MS        200   /* to write what an error left behind */
#define REPEATS        3     /* of a failure, and it is not for a restart */
#define PART_BYTES     1024  /* more than the server says if it is asked */
#define ALIVE_MS       10000 /* of a transaction with nothing to say */

enum phase { STREAMING, WRITING, WAITING, ENDED };

struct reader {
	const struct reader_options *o;
	struct walsender stream;
	struct walsender_system system;
	struct decode decode;
	struct sweep sweep;
	struct fdio_out out;
	int64_t blocked_at; /* since when stdout has taken nothing; 0: it has */
	struct ack_channel acks;
	struct progress progress;
	struct liveness liveness;
	struct heartbeat heartbeat;
	enum phase phase;
	int64_t phase_until; /* 0: no limit */
	uint64_t until;      /* 0: none */
	bool dry;            /* the socket had nothing more */
	bool busy;           /* it had something since the last wait */
	size_t part_bytes;   /* of a message that is not whole yet */
	bool part;           /* of a transaction is in the output */
	int64_t quiet_since; /* nothing was said, in a transaction */
};

/* Output */

static void
send_checkpoint(struct reader *r)
{
	char text[LSN_TEXT_MAX];
	size_t n = lsn_format(text, r->progress.complete);

	event_write_checkpoint(&r->out.b, (struct view){text, n});
	progress_sent(&r->progress, clock_ms());
}

/* Not within a transaction. */
static void
maybe_checkpoint(struct reader *r)
{
	if (!decode_in_transaction(&r->decode) &&
	    progress_due(
		&r->progress, clock_ms(), r->dry, r->liveness.reply_wanted))
		send_checkpoint(r);
}

/* When a transaction has been quiet for long enough that whoever reads us might
 * take us for dead. */
static int64_t
alive_at(const struct reader *r)
{
	if (!r->progress.acked || r->phase != STREAMING ||
	    !decode_in_transaction(&r->decode) || fdio_out_pending(&r->out) > 0)
		return INT64_MAX;
	return r->quiet_since + ALIVE_MS;
}

static void
maybe_alive(struct reader *r)
{
	int64_t now = clock_ms();

	if (now < alive_at(r))
		return;
	event_write_alive(&r->out.b);
	r->quiet_since = now;
}

/* Input */

static int
on_data(struct reader *r, const struct walsender_message *m)
{
	size_t before = r->out.b.len;
	uint64_t commit_end;
	int rc = decode_take(&r->decode, m, &r->out.b, &commit_end);

	if (r->out.b.len > before)
		r->part = r->progress.events = true;
	if (rc != EXIT_DONE)
		return rc;
	progress_receive(&r->progress, m->lsn);
	if (commit_end > 0) {
		r->part = false;
		progress_complete(&r->progress, commit_end);
		maybe_checkpoint(r);
	}
	return EXIT_DONE;
}

static int
stalled(const char *why)
{
	log_error("could not go on with replication: the server is shutting "
		  "down and %s",
	    why);
	return EXIT_RETRY;
}

/*
 * A server that shuts down asks again at once after every reply of ours, until
 * we have confirmed all it sent.  It is not to wait for ever.
 */
static int
on_reply_request(struct reader *r)
{
	int64_t now = clock_ms();

	if (!liveness_request(&r->liveness, now))
		return EXIT_DONE;
	if (r->progress.acked && r->liveness.reported >= r->progress.complete)
		return stalled("asks on although all is confirmed");
	if (liveness_stalled(&r->liveness, now))
		return stalled("nothing was acknowledged for 3 s");
	return EXIT_DONE;
}

static int
on_keepalive(struct reader *r, const struct walsender_message *m)
{
	int rc = EXIT_DONE;

	progress_receive(&r->progress, m->lsn);
	if (!decode_in_transaction(&r->decode))
		progress_complete(&r->progress, m->lsn);
	if (m->reply_wanted)
		rc = on_reply_request(r);
	maybe_checkpoint(r);
	return rc;
}

/* Are we between transactions and to go no further? */
static bool
at_the_end(const struct reader *r)
{
	if (decode_in_transaction(&r->decode))
		return false;
	return signals_stop_requested() ||
	    (r->until != 0 && r->progress.complete >= r->until);
}

/* Not without an end: what is left out fills no output, and others wait. */
static int
receive(struct reader *r)
{
	struct walsender_message m;
	bool within = decode_in_transaction(&r->decode);
	int rc = EXIT_DONE;

	r->dry = false;
	for (int n = 0; n < MESSAGES && !r->dry && !at_the_end(r) &&
	     fdio_out_pending(&r->out) < OUT_BYTES;
	     n++) {
		rc = walsender_next(&r->stream, &m);
		if (rc == EXIT_DONE && m.kind == WALSENDER_DATA)
			rc = on_data(r, &m);
		else if (rc == EXIT_DONE && m.kind == WALSENDER_KEEPALIVE)
			rc = on_keepalive(r, &m);
		if (rc != EXIT_DONE)
			return rc;
		r->dry = m.kind == WALSENDER_DRY;
		r->busy |= !r->dry;
	}
	if (r->busy) {
		liveness_hear(&r->liveness, clock_ms());
		r->part_bytes = 0;
	}
	if (r->dry)
		maybe_checkpoint(r);
	if (!within || fdio_out_pending(&r->out) > 0)
		r->quiet_since = clock_ms();
	maybe_alive(r);
	return rc;
}

/* Acks */

static int
on_ack(struct reader *r, struct view mark)
{
	uint64_t lsn;

	if (!lsn_parse(mark, &lsn))
		return ack_refuse(&r->acks, mark, "not an LSN");
	switch (progress_acknowledge(&r->progress, lsn)) {
	case ACK_UNKNOWN:
		return ack_refuse(
		    &r->acks, mark, "no checkpoint that was sent");
	case ACK_NEW:
		liveness_progress(&r->liveness, clock_ms());
		break;
	case ACK_OLD:
		break;
	}
	return EXIT_DONE;
}

static int
read_acks(struct reader *r)
{
	struct view mark;
	int rc = EXIT_DONE;

	if (r->o->ack == NULL || r->acks.eof)
		return rc;
	while ((rc = ack_channel_next(&r->acks, &mark)) == EXIT_DONE &&
	    mark.p != NULL) {
		rc = on_ack(r, mark);
		if (rc != EXIT_DONE)
			break;
	}
	if (rc == EXIT_DONE && r->acks.eof && r->phase < WAITING) {
		log_error("could not read \"%s\": end of file", r->acks.name);
		rc = EXIT_IO;
	}
	return rc;
}

/* Feedback.  Without acks nothing is confirmed: flush 0 leaves the slot. */

static int64_t
report_at(const struct reader *r)
{
	return liveness_report_at(&r->liveness, r->progress.durable);
}

static int
report(struct reader *r)
{
	int64_t now = clock_ms();
	bool asks = liveness_asks(&r->liveness, now);
	int rc = walsender_feedback(
	    &r->stream, r->progress.received, r->progress.durable, asks);

	liveness_reported(&r->liveness, now, r->progress.durable, asks);
	return rc;
}

/* Do we read what the server sends? */
static bool
is_reading(const struct reader *r)
{
	return r->phase == STREAMING && fdio_out_pending(&r->out) < OUT_BYTES;
}

/* What is due on the connections, whatever else happens. */
static int
keep_in_touch(struct reader *r)
{
	int64_t now = clock_ms();
	int rc = EXIT_DONE;

	if (!is_reading(r))
		liveness_hear(&r->liveness, now);
	if (now >= liveness_dead_at(&r->liveness)) {
		log_error("could not go on with replication: the server does "
			  "not answer");
		strcpy(r->stream.failure, "silent");
		return EXIT_RETRY;
	}
	if (now >= report_at(r))
		rc = report(r);
	if (rc == EXIT_DONE && r->stream.unsent)
		rc = walsender_flush(&r->stream);
	if (rc == EXIT_DONE && now >= heartbeat_due_at(&r->heartbeat))
		rc = heartbeat_work(&r->heartbeat);
	return rc;
}

/* Phases */

static void
enter(struct reader *r, enum phase phase, int64_t limit_ms)
{
	r->phase = phase;
	r->phase_until = limit_ms > 0 ? clock_ms() + limit_ms : 0;
}

/* Writes, and notes since when that is of no use. */
static int
write_out(struct reader *r)
{
	size_t before = fdio_out_pending(&r->out);
	int rc = fdio_out_flush(&r->out);

	if (fdio_out_pending(&r->out) < before ||
	    fdio_out_pending(&r->out) == 0)
		r->blocked_at = 0;
	else if (r->blocked_at == 0)
		r->blocked_at = clock_ms();
	return rc;
}

/*
 * With stdout blocked we do not read, so that we miss the requests of a server
 * that shuts down, which would wait for ever: from time to time we ask.
 */
static int
look_at_server(struct reader *r)
{
	const struct pg_target target = {"source", r->o->conninfo, false};

	if (r->blocked_at == 0 ||
	    clock_left(r->blocked_at + LIVENESS_STALL_MS) > 0)
		return EXIT_DONE;
	if (pg_connect_turned_away(&target))
		return stalled("stdout takes nothing");
	r->blocked_at = clock_ms();
	return EXIT_DONE;
}

/*
 * The source failed us.  What was complete before is not to wait until that is
 * mended, which may need somebody.
 */
static void
last_words(struct reader *r)
{
	int64_t until = clock_ms() + LAST_MS;

	if (!r->part && r->progress.events && progress_waits(&r->progress))
		send_checkpoint(r);
	while (write_out(r) == EXIT_DONE && fdio_out_pending(&r->out) > 0 &&
	    !signals_stop_requested() && clock_left(until) > 0)
		fdio_wait(r->out.fd, POLLOUT, clock_left(until));
}

/* What is to be done in this phase, and whether the next one begins. */
static int
advance(struct reader *r)
{
	int rc = EXIT_DONE;

	if (r->phase == STREAMING) {
		rc = receive(r);
		if (!decode_in_transaction(&r->decode))
			sweep_work(&r->sweep,
			    pgoutput_relations(r->decode.decoder),
			    r->progress.complete);
		if (rc != EXIT_DONE) {
			last_words(r);
		} else if (at_the_end(r)) {
			if (progress_waits(&r->progress))
				send_checkpoint(r);
			enter(r, WRITING, 0);
		}
	}
	if (signals_stop_requested() && r->phase_until == 0)
		enter(r, r->phase,
		    r->phase == STREAMING ? TRANSACTION_MS : ACK_MS);
	if (rc == EXIT_DONE && r->phase < WAITING)
		rc = write_out(r);
	if (rc == EXIT_DONE && r->phase == WRITING &&
	    fdio_out_pending(&r->out) == 0) {
		rc = fdio_out_close(&r->out);
		enter(r, WAITING, ACK_MS);
	}
	if (rc == EXIT_DONE)
		rc = read_acks(r);
	if (r->phase == WAITING && (r->progress.window.n == 0 || r->acks.eof))
		enter(r, ENDED, 0);
	return rc;
}

static int
out_of_time(const struct reader *r)
{
	static const char *const why[] = {
	    [STREAMING] = "the transaction in progress did not end in time",
	    [WRITING] = "stdout took nothing",
	    [WAITING] = "the last checkpoint was not acknowledged",
	};

	log_error("could not stop in order: %s", why[r->phase]);
	return EXIT_RETRY;
}

/* When the next timer goes off. */
static int64_t
next_timer(const struct reader *r)
{
	int64_t at = report_at(r);

	at = clock_earlier(at, liveness_dead_at(&r->liveness));
	at = clock_earlier(at, heartbeat_due_at(&r->heartbeat));
	if (r->phase_until != 0)
		at = clock_earlier(at, r->phase_until);
	at = clock_earlier(at, alive_at(r));
	if (r->blocked_at != 0)
		at = clock_earlier(at, r->blocked_at + LIVENESS_STALL_MS);
	if (r->phase == STREAMING && !decode_in_transaction(&r->decode))
		at = clock_earlier(at, progress_due_at(&r->progress));
	return at;
}

/*
 * Also a part of a message is a sign of life, if there is more of it than of
 * the server's answers to us: these might be taken for the rest of a message
 * whose length is wrong.
 */
static void
hear_part(struct reader *r)
{
	int n = 0;

	if (ioctl(PQsocket(r->stream.pg.conn), FIONREAD, &n) == 0 && n > 0)
		r->part_bytes += (size_t)n;
	if (r->part_bytes < PART_BYTES)
		return;
	r->part_bytes = 0;
	liveness_hear(&r->liveness, clock_ms());
}

/* Waits until any of the descriptors or timers has something for us. */
static int
wait_for_work(struct reader *r)
{
	short events = (short)((is_reading(r) ? POLLIN : 0) |
	    (r->stream.unsent ? POLLOUT : 0));
	struct pollfd p[] = {
	    /* not even a hang-up is of interest while we do not read */
	    {events != 0 ? PQsocket(r->stream.pg.conn) : -1, events, 0},
	    {r->out.fd, (short)(fdio_out_pending(&r->out) > 0 ? POLLOUT : 0),
		0},
	    {r->o->ack != NULL && !r->acks.eof ? r->acks.fd : -1, POLLIN, 0},
	    {signals_fd(), POLLIN, 0},
	    {heartbeat_fd(&r->heartbeat), POLLIN, 0},
	};
	int64_t left = clock_left(next_timer(r));

	if (poll(p, 5, left > INT_MAX ? INT_MAX : (int)left) <= 0)
		return EXIT_DONE;
	if ((p[0].revents & POLLIN) != 0)
		hear_part(r);
	if (p[3].revents != 0)
		signals_drain();
	if ((p[1].revents & (POLLERR | POLLNVAL)) != 0 &&
	    fdio_out_pending(&r->out) == 0) {
		log_error("could not write \"stdout\": its reader has gone");
		return EXIT_IO;
	}
	return p[4].revents != 0 ? heartbeat_work(&r->heartbeat) : EXIT_DONE;
}

/*
 * The output is written before we wait, so a steady trickle is not delayed;
 * then a short doze lets the server fill the socket, since it is woken less
 * often than for each message.
 */
static int
run_loop(struct reader *r)
{
	int rc = EXIT_DONE;

	while (rc == EXIT_DONE) {
		r->busy = false;
		rc = advance(r);
		if (rc == EXIT_DONE && r->phase != ENDED)
			rc = keep_in_touch(r);
		if (rc == EXIT_DONE)
			rc = look_at_server(r);
		if (rc != EXIT_DONE || r->phase == ENDED)
			break;
		if (r->phase_until != 0 && clock_ms() >= r->phase_until)
			rc = out_of_time(r);
		else if (r->phase == STREAMING && r->busy && r->dry &&
		    fdio_out_pending(&r->out) == 0)
			clock_doze_us(DOZE_US);
		else if (r->phase != STREAMING || r->dry ||
		    fdio_out_pending(&r->out) > 0)
			rc = wait_for_work(r);
	}
	return rc;
}

/*
 * The stream has failed, and a restart would mend that: unless it has failed
 * before, in the same way, with the same change of a transaction as the last.
 */
static int
look_back(const struct reader *r)
{
	uint64_t at = r->progress.received;
	unsigned n;

	if (r->o->failures == NULL || r->stream.failure[0] == '\0' ||
	    !decode_in_transaction(&r->decode))
		return EXIT_RETRY;
	n = repeat_count(r->o->failures, at, r->stream.failure);
	if (n < REPEATS)
		return EXIT_RETRY;
	log_hint(
	    "It has failed %u times behind %s of slot \"%s\": another start "
	    "does not help.  See the server's log.",
	    n, lsn_text(at).s, r->o->slot);
	return EXIT_OPERATOR;
}

static int
finish(struct reader *r)
{
	int rc = report(r);

	if (rc == EXIT_DONE)
		rc = walsender_end(&r->stream);
	if (rc == EXIT_DONE && !progress_settled(&r->progress)) {
		log_error("could not stop in order: the last checkpoint was "
			  "not acknowledged");
		rc = EXIT_RETRY;
	}
	return rc;
}

/* Start */

static bool
until_now(const struct reader *r)
{
	return r->o->until != NULL &&
	    view_eq(view_of(r->o->until), VIEW_LIT("now"));
}

/* Before anything is asked of the source; "now" is known only then. */
static int
check_until(struct reader *r)
{
	const char *text = r->o->until;

	if (text == NULL || until_now(r) ||
	    (lsn_parse(view_of(text), &r->until) && r->until > 0))
		return EXIT_DONE;
	log_error("could not use --until \"%s\": neither an LSN such as "
		  "0/1A2B3C4 nor \"now\"",
	    text);
	return EXIT_USAGE;
}

/* Looks at all that is needed; *start is the slot's position. */
static int
look_up(struct reader *r, uint64_t *start)
{
	int rc = check_until(r);

	if (rc == EXIT_DONE)
		rc = walsender_open(&r->stream, r->o->conninfo);
	if (rc == EXIT_DONE)
		rc = walsender_identify(&r->stream, &r->system);
	if (rc == EXIT_DONE && until_now(r))
		r->until = r->system.flush;
	if (rc == EXIT_DONE)
		rc = preflight_start(
		    &r->stream.pg, r->o->slot, r->o->publication, start);
	if (rc == EXIT_DONE && r->o->tables != NULL)
		rc = walsender_left_out(&r->stream, r->o->publication,
		    r->o->tables, &r->decode.left_out);
	return rc;
}

static int
set_up(struct reader *r, uint64_t *start)
{
	int rc = look_up(r, start);

	if (rc != EXIT_DONE)
		return rc;
	if (r->o->source_id != NULL)
		buf_adds(&r->decode.source_id, r->o->source_id);
	else
		buf_addf(&r->decode.source_id, "postgres-%s",
		    PQdb(r->stream.pg.conn));
	r->decode.messages = r->o->messages;
	rc = decode_init(&r->decode);
	liveness_start(&r->liveness, clock_ms(), r->system.timeout_ms,
	    r->o->server_timeout);
	if (rc == EXIT_DONE)
		rc = heartbeat_open(&r->heartbeat, r->o->conninfo,
		    r->o->heartbeat, r->liveness.silence);
	if (rc == EXIT_DONE)
		rc = walsender_start(
		    &r->stream, r->o->slot, r->o->publication, *start);
	liveness_hear(&r->liveness, clock_ms());
	return rc;
}

static int
stream(struct reader *r)
{
	uint64_t start = 0;
	int rc = set_up(r, &start);

	if (rc != EXIT_DONE)
		return rc;
	if (r->o->ack != NULL) {
		const struct stream_start line = {
		    .source_id = buf_view(&r->decode.source_id),
		    .system_id = buf_view(&r->system.system_id),
		    .timeline = r->system.timeline,
		    .history = buf_view(&r->system.history),
		    .slot = view_of(r->o->slot),
		    .lsn = start,
		    .flush = r->system.flush,
		};

		progress_start(&r->progress, start, clock_ms());
		r->liveness.reported = start;
		event_write_start(&r->out.b, &line);
	}
	log_info("reading from %s", lsn_text(start).s);
	rc = run_loop(r);
	if (rc == EXIT_RETRY && !signals_stop_requested())
		rc = look_back(r);
	return rc == EXIT_DONE ? finish(r) : rc;
}

int
reader_run(const struct reader_options *o)
{
	struct reader *r = calloc(1, sizeof(*r));
	int rc = EXIT_DONE, closed;

	if (r == NULL) {
		log_error("could not start reading: out of memory");
		return EXIT_OS;
	}
	r->o = o;
	r->sweep.conninfo = o->conninfo;
	r->acks.fd = -1;
	fdio_out_init(&r->out, STDOUT_FILENO, "stdout");
	/* before all that can fail: the other side waits in its open */
	if (o->ack != NULL)
		rc = ack_channel_open(&r->acks, o->ack);
	if (rc == EXIT_DONE)
		rc = stream(r);
	closed = fdio_out_close(&r->out);
	heartbeat_close(&r->heartbeat);
	walsender_close(&r->stream);
	walsender_system_release(&r->system);
	ack_channel_close(&r->acks);
	decode_release(&r->decode);
	sweep_release(&r->sweep);
	free(r);
	return rc != EXIT_DONE ? rc : closed;
}
