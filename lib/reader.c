/*
 * How a position travels:
 *
 *	received   the server has sent everything up to here
 *	complete   everything up to here is in the output: the end of the last
 *	           transaction, or a keepalive's position between transactions
 *	checkpoint the last `complete` that went out as a checkpoint line
 *	durable    the last checkpoint that was acknowledged, which is what the
 *	           slot is told
 *
 * A run goes through the phases in order.  WRITING and WAITING end it: the
 * last checkpoint is out, stdout is closed, the acks come in.
 */
#include "reader.h"

#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "ack.h"
#include "clock.h"
#include "event_json.h"
#include "exitcode.h"
#include "fdio.h"
#include "log.h"
#include "lsn.h"
#include "pgoutput.h"
#include "replstream.h"
#include "stop.h"

#define OUT_BYTES      ((size_t)256 * 1024) /* queued before we stop reading */
#define DOZE_US        150   /* lets the server fill the socket */
#define CHECKPOINT_MS  10    /* under load, between checkpoints */
#define IDLE_MS        10000 /* between checkpoints with nothing in them */
#define IDLE_BYTES     (UINT64_C(16) * 1024 * 1024)
#define STATUS_MS      10000 /* at least this often */
#define REPLY_MS       100   /* at most this often */
#define BURST_MS       1000  /* requests closer than this are one burst */
#define BURST_REQUESTS 3
#define STALL_MS       3000  /* a stopping server is kept waiting at most */
#define TRANSACTION_MS 3000  /* to its end, once we are to stop */
#define ACK_MS         10000 /* for the last acks */
#define HEX_BYTES      16

enum phase { STREAMING, WRITING, WAITING, ENDED };

struct reader {
	const struct reader_options *o;
	struct replstream stream;
	struct replstream_system system;
	struct pgoutput *decoder;
	PGresult *left_out; /* published, but not asked for; NULL: none */
	struct buf source_id;
	struct fdio_out out;
	int64_t blocked_at; /* since when stdout has taken nothing; 0: it has */
	struct ack_channel acks;
	struct ack_window window;
	enum phase phase;
	int64_t phase_until; /* 0: no limit */

	uint64_t received, complete, checkpoint, durable;
	uint64_t until; /* 0: none */
	bool dry;       /* the socket had nothing more */
	bool busy;      /* it had something since the last wait */
	bool events_since_checkpoint;
	int64_t checkpoint_at;

	int64_t status_every;
	int64_t status_at;
	uint64_t status_durable; /* what the last one said */
	bool reply_wanted;
	int64_t burst_at; /* first request of a burst, or last progress in it */
	int64_t request_at;
	int burst;
};

/* Checkpoints */

static void
send_checkpoint(struct reader *r)
{
	char text[LSN_TEXT_MAX];
	size_t n = lsn_format(text, r->complete);

	event_json_put_checkpoint(&r->out.b, (struct view){text, n});
	ack_sent(&r->window, r->complete);
	r->checkpoint = r->complete;
	r->checkpoint_at = clock_ms();
	r->events_since_checkpoint = false;
}

/* Is there a position to send, and may it be sent now? */
static bool
checkpoint_possible(const struct reader *r)
{
	return r->o->ack != NULL && r->complete > r->checkpoint &&
	    !pgoutput_in_transaction(r->decoder) && !ack_full(&r->window);
}

/* A checkpoint with nothing in it must be worth its while: it makes a ledger
 * row, which is WAL again if buffer and source share a cluster. */
static bool
idle_checkpoint_due(const struct reader *r)
{
	return r->reply_wanted || r->complete - r->checkpoint >= IDLE_BYTES ||
	    clock_ms() - r->checkpoint_at >= IDLE_MS;
}

static void
maybe_checkpoint(struct reader *r, bool last)
{
	bool due;

	if (!checkpoint_possible(r))
		return;
	if (r->events_since_checkpoint)
		due = r->dry || clock_ms() - r->checkpoint_at >= CHECKPOINT_MS;
	else
		due = idle_checkpoint_due(r);
	if (due || last)
		send_checkpoint(r);
}

/* Input */

static int
refuse_message(const struct reader *r, const struct replstream_message *m)
{
	char hex[2 * HEX_BYTES + 1] = "";

	for (size_t i = 0; i < m->data.n && i < HEX_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x",
		    (unsigned)(unsigned char)m->data.p[i]);
	log_error("could not decode the message at %s: %s (it begins %s)",
	    lsn_text(m->lsn).s, pgoutput_reason(r->decoder), hex);
	return EXIT_PROTOCOL;
}

static bool
is_wanted(const struct reader *r, const struct event *e)
{
	if (e->key_columns.p == NULL)
		return r->o->messages;
	for (int i = 0; i < PQntuples(r->left_out); i++) {
		if (view_eq(pg_value(r->left_out, i, 1), e->table_name) &&
		    view_eq(pg_value(r->left_out, i, 0), e->schema_name))
			return false;
	}
	return true;
}

static void
emit(struct reader *r, struct event *e)
{
	if (!is_wanted(r, e))
		return;
	e->source_id = buf_view(&r->source_id);
	event_json_put(&r->out.b, e);
	r->events_since_checkpoint = true;
}

static int
on_data(struct reader *r, const struct replstream_message *m)
{
	enum pgoutput_status status;
	struct event e;

	pgoutput_feed(r->decoder, m->data, m->lsn, m->time);
	while ((status = pgoutput_next(r->decoder, &e)) == PGOUTPUT_EVENT)
		emit(r, &e);
	if (status == PGOUTPUT_BAD)
		return refuse_message(r, m);
	if (m->lsn > r->received)
		r->received = m->lsn;
	if (status == PGOUTPUT_COMMIT) {
		r->complete = pgoutput_commit_end(r->decoder);
		if (r->complete > r->received)
			r->received = r->complete;
		maybe_checkpoint(r, false);
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

	r->reply_wanted = true;
	if (now - r->request_at > BURST_MS) {
		r->burst = 0;
		r->burst_at = now;
	}
	r->request_at = now;
	r->burst++;
	if (r->burst < BURST_REQUESTS)
		return EXIT_DONE;
	if (r->o->ack != NULL && r->status_durable >= r->complete)
		return stalled("asks on although all is confirmed");
	if (now - r->burst_at >= STALL_MS)
		return stalled("nothing was acknowledged for 3 s");
	return EXIT_DONE;
}

static int
on_keepalive(struct reader *r, const struct replstream_message *m)
{
	int rc = EXIT_DONE;

	if (m->lsn > r->received)
		r->received = m->lsn;
	if (!pgoutput_in_transaction(r->decoder) && m->lsn > r->complete)
		r->complete = m->lsn;
	if (m->reply_wanted)
		rc = on_reply_request(r);
	maybe_checkpoint(r, false);
	return rc;
}

/* Are we between transactions and to go no further? */
static bool
at_the_end(const struct reader *r)
{
	if (pgoutput_in_transaction(r->decoder))
		return false;
	return stop_requested() || (r->until != 0 && r->complete >= r->until);
}

static int
receive(struct reader *r)
{
	struct replstream_message m;
	int rc = EXIT_DONE;

	r->dry = false;
	while (rc == EXIT_DONE && !r->dry && !at_the_end(r) &&
	    fdio_out_pending(&r->out) < OUT_BYTES) {
		rc = replstream_next(&r->stream, &m);
		if (rc != EXIT_DONE)
			break;
		if (m.kind == REPLSTREAM_DRY) {
			r->dry = true;
			maybe_checkpoint(r, false);
			break;
		}
		r->busy = true;
		rc = m.kind == REPLSTREAM_DATA ? on_data(r, &m)
					       : on_keepalive(r, &m);
	}
	return rc;
}

/* Acks */

static int
on_ack(struct reader *r, struct view mark)
{
	uint64_t lsn;
	size_t popped;

	if (!lsn_parse(mark, &lsn))
		return ack_refuse(&r->acks, mark, "not an LSN");
	switch (ack_received(&r->window, lsn, &popped)) {
	case ACK_UNKNOWN:
		return ack_refuse(
		    &r->acks, mark, "no checkpoint that was sent");
	case ACK_OLD:
		break;
	case ACK_NEW:
		/* never back: the server takes our word for it */
		if (lsn > r->durable)
			r->durable = lsn;
		r->burst = 0;
		r->burst_at = clock_ms();
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

static int
send_status(struct reader *r)
{
	int rc = replstream_feedback(&r->stream, r->received, r->durable);

	r->status_at = clock_ms();
	r->status_durable = r->durable;
	r->reply_wanted = false;
	return rc;
}

static int64_t
status_due(const struct reader *r)
{
	if (r->reply_wanted || r->durable > r->status_durable)
		return r->status_at + REPLY_MS;
	return r->status_at + r->status_every;
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

	if (r->blocked_at == 0 || clock_left(r->blocked_at + STALL_MS) > 0)
		return EXIT_DONE;
	if (pg_turns_away(&target))
		return stalled("stdout takes nothing");
	r->blocked_at = clock_ms();
	return EXIT_DONE;
}

/* What is to be done in this phase, and whether the next one begins. */
static int
advance(struct reader *r)
{
	int rc = EXIT_DONE;

	if (r->phase == STREAMING) {
		rc = receive(r);
		if (rc == EXIT_DONE && at_the_end(r)) {
			maybe_checkpoint(r, true);
			enter(r, WRITING, 0);
		}
	}
	if (stop_requested() && r->phase_until == 0)
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
	if (r->phase == WAITING && (r->window.n == 0 || r->acks.eof))
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

/* Waits until any of the descriptors or timers has something for us. */
static int
wait_for_work(struct reader *r)
{
	bool reading = r->phase == STREAMING &&
	    fdio_out_pending(&r->out) < OUT_BYTES;
	short events = (short)((reading ? POLLIN : 0) |
	    (r->stream.unsent ? POLLOUT : 0));
	struct pollfd p[] = {
	    /* not even a hang-up is of interest while we do not read */
	    {events != 0 ? PQsocket(r->stream.pg.conn) : -1, events, 0},
	    {r->out.fd, (short)(fdio_out_pending(&r->out) > 0 ? POLLOUT : 0),
		0},
	    {r->o->ack != NULL && !r->acks.eof ? r->acks.fd : -1, POLLIN, 0},
	    {stop_fd(), POLLIN, 0},
	};
	int64_t until = status_due(r), now = clock_ms();

	if (r->phase_until != 0 && r->phase_until < until)
		until = r->phase_until;
	if (r->blocked_at != 0 && r->blocked_at + STALL_MS < until)
		until = r->blocked_at + STALL_MS;
	if (r->phase == STREAMING && checkpoint_possible(r) &&
	    r->checkpoint_at + IDLE_MS < until)
		until = r->checkpoint_at + IDLE_MS;
	if (until < now)
		until = now;
	if (poll(p, 4, until - now > INT_MAX ? INT_MAX : (int)(until - now)) <=
	    0)
		return EXIT_DONE;
	if (p[3].revents != 0)
		stop_drain();
	if ((p[1].revents & (POLLERR | POLLNVAL)) != 0 &&
	    fdio_out_pending(&r->out) == 0) {
		log_error("could not write \"stdout\": its reader has gone");
		return EXIT_IO;
	}
	return EXIT_DONE;
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
		if (rc == EXIT_DONE && r->phase != ENDED &&
		    clock_ms() >= status_due(r))
			rc = send_status(r);
		if (rc == EXIT_DONE && r->stream.unsent)
			rc = replstream_flush(&r->stream);
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

static int
finish(struct reader *r)
{
	int rc = send_status(r);

	if (rc == EXIT_DONE)
		rc = replstream_end(&r->stream);
	if (rc == EXIT_DONE && r->window.n > 0) {
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

static int
set_up(struct reader *r, uint64_t *start)
{
	const char *database;
	int rc = check_until(r);

	if (rc == EXIT_DONE)
		rc = replstream_open(&r->stream, r->o->conninfo);
	if (rc == EXIT_DONE)
		rc = replstream_identify(&r->stream, &r->system);
	if (rc == EXIT_DONE && until_now(r))
		r->until = r->system.flush;
	if (rc == EXIT_DONE)
		rc = replstream_check(
		    &r->stream, r->o->slot, r->o->publication, start);
	if (rc == EXIT_DONE && r->o->tables != NULL)
		rc = replstream_left_out(
		    &r->stream, r->o->publication, r->o->tables, &r->left_out);
	if (rc != EXIT_DONE)
		return rc;
	database = PQdb(r->stream.pg.conn);
	if (r->o->source_id != NULL)
		buf_adds(&r->source_id, r->o->source_id);
	else
		buf_addf(&r->source_id, "postgres-%s", database);
	r->status_every = STATUS_MS;
	if (r->system.timeout_ms > 0 &&
	    r->system.timeout_ms / 4 < r->status_every)
		r->status_every = r->system.timeout_ms / 4;
	r->decoder = pgoutput_new();
	if (r->decoder == NULL || r->source_id.failed) {
		log_error("could not start reading: out of memory");
		return EXIT_OS;
	}
	return replstream_start(
	    &r->stream, r->o->slot, r->o->publication, *start);
}

static int
stream(struct reader *r)
{
	uint64_t start = 0;
	int rc = set_up(r, &start);

	if (rc != EXIT_DONE)
		return rc;
	r->status_at = clock_ms();
	if (r->o->ack != NULL) {
		const struct stream_start line = {
		    .source_id = buf_view(&r->source_id),
		    .system_id = buf_view(&r->system.system_id),
		    .timeline = r->system.timeline,
		    .history = buf_view(&r->system.history),
		    .slot = view_of(r->o->slot),
		    .lsn = start,
		    .flush = r->system.flush,
		};

		r->durable = r->status_durable = start;
		r->complete = r->checkpoint = start;
		/* the first idle position goes out at once */
		r->checkpoint_at = clock_ms() - IDLE_MS;
		event_json_put_start(&r->out.b, &line);
	}
	log_info("reading from %s", lsn_text(start).s);
	rc = run_loop(r);
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
	r->acks.fd = -1;
	fdio_out_init(&r->out, STDOUT_FILENO, "stdout");
	/* before all that can fail: the other side waits in its open */
	if (o->ack != NULL)
		rc = ack_channel_open(&r->acks, o->ack);
	if (rc == EXIT_DONE)
		rc = stream(r);
	closed = fdio_out_close(&r->out);
	replstream_close(&r->stream);
	replstream_system_release(&r->system);
	ack_channel_close(&r->acks);
	pgoutput_free(r->decoder);
	PQclear(r->left_out);
	buf_release(&r->source_id);
	free(r);
	return rc != EXIT_DONE ? rc : closed;
}
