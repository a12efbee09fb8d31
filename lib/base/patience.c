#include "base/patience.h"

#include "base/clock.h"

void
patience_start(struct patience *p, int64_t now)
{
	p->since = now;
	p->said = false;
}

void
patience_hear(struct patience *p, int64_t now)
{
	p->since = now;
}

static int64_t
over_at(const struct patience *p)
{
	return p->limit > 0 ? p->since + p->limit : INT64_MAX;
}

static int64_t
say_at(const struct patience *p)
{
	return p->said ? INT64_MAX : p->since + PATIENCE_SAY_MS;
}

int64_t
patience_due_at(const struct patience *p)
{
	return clock_earlier(over_at(p), say_at(p));
}

enum patience_step
patience_look(struct patience *p, int64_t now)
{
	if (now >= over_at(p))
		return PATIENCE_OVER;
	if (now < say_at(p))
		return PATIENCE_WAIT;
	p->said = true;
	return PATIENCE_SAY;
}
