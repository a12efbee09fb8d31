#include "reader/liveness.h"

#define REPORT_MS      10000 /* at least this often */
#define REPLY_MS       100   /* at most this often */
#define SILENCE_MS     60000
#define BURST_MS       1000 /* requests closer than this form a burst */
#define BURST_REQUESTS 3

void
liveness_start(
    struct liveness *l, int64_t now, int64_t sender_timeout, int64_t silence)
{
	*l = (struct liveness){.report_every = REPORT_MS, .silence = silence};
	if (silence < 0)
		l->silence = sender_timeout > SILENCE_MS ? sender_timeout
							 : SILENCE_MS;
	if (sender_timeout > 0 && sender_timeout / 4 < REPORT_MS)
		l->report_every = sender_timeout / 4;
	l->reported_at = l->heard_at = now;
}

void
liveness_hear(struct liveness *l, int64_t now)
{
	l->heard_at = now;
	l->asked_at = 0;
}

bool
liveness_request(struct liveness *l, int64_t now)
{
	l->reply_wanted = true;
	if (now - l->request_at > BURST_MS) {
		l->burst = 0;
		l->burst_at = now;
	}
	l->request_at = now;
	l->burst++;
	return l->burst >= BURST_REQUESTS;
}

void
liveness_progress(struct liveness *l, int64_t now)
{
	l->burst = 0;
	l->burst_at = now;
}

bool
liveness_stalled(const struct liveness *l, int64_t now)
{
	return l->burst >= BURST_REQUESTS &&
	    now - l->burst_at >= LIVENESS_STALL_MS;
}

/* After half of the limit without a message we ask; a reply has the rest. */
static int64_t
ask_at(const struct liveness *l)
{
	if (l->silence == 0 || l->asked_at != 0)
		return INT64_MAX;
	return l->heard_at + l->silence / 2;
}

int64_t
liveness_report_at(const struct liveness *l, uint64_t durable)
{
	bool soon = l->reply_wanted || durable > l->reported;
	int64_t at = l->reported_at + (soon ? REPLY_MS : l->report_every);

	return ask_at(l) < at ? ask_at(l) : at;
}

bool
liveness_asks(const struct liveness *l, int64_t now)
{
	return now >= ask_at(l);
}

void
liveness_reported(struct liveness *l, int64_t now, uint64_t durable, bool asks)
{
	l->reported_at = now;
	l->reported = durable;
	l->reply_wanted = false;
	if (asks)
		l->asked_at = now;
}

int64_t
liveness_dead_at(const struct liveness *l)
{
	if (l->asked_at == 0)
		return INT64_MAX;
	return l->asked_at + (l->silence + 1) / 2;
}
