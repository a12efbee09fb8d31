#include <stdint.h>

#include "reader/progress.h"
#include "tap.h"

static struct progress p;

static void
restart(void)
{
	p = (struct progress){0};
	progress_start(&p, 100, 50000);
}

static void
test_without_acks(void)
{
	p = (struct progress){0};
	progress_complete(&p, 200);
	ok(p.received == 200, "without acks: received is counted");
	ok(!progress_waits(&p) && !progress_due(&p, 1, true, true),
	    "- no checkpoint is due");
	ok(p.durable == 0, "- nothing is durable");
}

static void
test_events(void)
{
	restart();
	progress_sent(&p, 50000);
	progress_complete(&p, 200);
	p.events = true;
	ok(!progress_due(&p, 50001, false, false),
	    "more has arrived: the checkpoint can wait");
	ok(progress_due(&p, 50001, true, false), "dry: it is due");
	ok(progress_due(&p, 50010, false, false), "or after 10 ms");
	progress_sent(&p, 50010);
	ok(!p.events && p.checkpoint == 200 && !progress_waits(&p),
	    "once it is sent none is due");
	ok(p.durable == 100, "a checkpoint sent is not durable yet");
}

static void
test_idle(void)
{
	restart();
	progress_complete(&p, 101);
	ok(progress_due(&p, 50000, true, false),
	    "the first idle position is due at once");
	progress_sent(&p, 50000);
	progress_complete(&p, 102);
	ok(!progress_due(&p, 59999, true, false) &&
		progress_due_at(&p) == 60000,
	    "the next one after 10 s");
	ok(progress_due(&p, 60000, true, false), "- then");
	ok(progress_due(&p, 50001, true, true), "or when the server asks");
	progress_complete(&p, 101 + 16 * 1024 * 1024);
	ok(progress_due(&p, 50001, true, false), "or after 16 MB");
}

static void
test_never_back(void)
{
	restart();
	progress_complete(&p, 300);
	progress_complete(&p, 250);
	progress_receive(&p, 10);
	ok(p.complete == 300 && p.received == 300, "positions never go back");
	progress_sent(&p, 50000);
	progress_complete(&p, 400);
	progress_sent(&p, 50000);
	ok(progress_acknowledge(&p, 400) == ACK_NEW && p.durable == 400,
	    "an ack acknowledges all before it");
	ok(progress_acknowledge(&p, 300) == ACK_OLD && p.durable == 400,
	    "an older one changes nothing");
	ok(progress_acknowledge(&p, 401) == ACK_UNKNOWN && p.durable == 400,
	    "nor does an ack of a position not sent");
}

/* What was received may be far ahead: only what was sent counts. */
static void
test_in_flight(void)
{
	restart();
	progress_complete(&p, 200);
	progress_sent(&p, 50000);
	progress_complete(&p, 300);
	ok(p.durable == 100, "a keepalive's position confirms nothing itself");
	progress_sent(&p, 50000);
	progress_acknowledge(&p, 200);
	ok(p.durable == 200, "nor does an ack of an earlier checkpoint");
	progress_acknowledge(&p, 300);
	ok(p.durable == 300, "but an ack of its own checkpoint does");
}

static void
test_full(void)
{
	restart();
	for (uint64_t i = 0; i < ACK_WINDOW; i++) {
		progress_complete(&p, 200 + i);
		progress_sent(&p, 50000);
	}
	progress_complete(&p, 1000000);
	ok(!progress_waits(&p) && !progress_due(&p, 90000, true, true),
	    "with a full window no checkpoint is sent");
	ok(progress_due_at(&p) == INT64_MAX, "- and no timer runs");
	progress_acknowledge(&p, 200);
	ok(progress_due(&p, 90000, true, true), "an ack makes room");
	progress_acknowledge(&p, 200 + ACK_WINDOW - 1);
	ok(!progress_settled(&p),
	    "not settled before the last checkpoint is sent");
	progress_sent(&p, 90000);
	ok(!progress_settled(&p), "nor before it is acknowledged");
	progress_acknowledge(&p, 1000000);
	ok(progress_settled(&p), "settled then");
}

int
main(void)
{
	test_without_acks();
	test_events();
	test_idle();
	test_never_back();
	test_in_flight();
	test_full();
	return done_testing();
}
