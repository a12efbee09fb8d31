#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

#define KINDS 16

/* Messages with one format string, in the current window. */
struct kind {
	const char *fmt;
	int64_t since; /* clock_ms at the start of the window */
	unsigned shown, hidden;
};

static const char *tool_name = "philotes";
static enum log_format log_format = LOG_TEXT;
static enum log_level log_threshold = LOG_WARNING;
static bool log_timestamps;
static struct log_kept *log_kept;
static struct kind kinds[KINDS];

void
log_init(const char *tool)
{
	tool_name = tool;
}

void
log_configure(enum log_format format, enum log_level level, bool timestamps)
{
	log_format = format;
	log_threshold = level;
	log_timestamps = timestamps;
}

void
log_keep(struct log_kept *k)
{
	log_kept = k;
}

void
log_kept_release(struct log_kept *k)
{
	buf_release(&k->error);
	buf_release(&k->hint);
}

bool
log_is_json(void)
{
	return log_format == LOG_JSON;
}

static void
add_time(struct buf *line)
{
	struct timespec now;
	struct tm tm;
	char stamp[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	buf_addf(line, "%s.%06ldZ", stamp, now.tv_nsec / 1000);
}

static void
add_json(struct buf *line, const char *level, const struct buf *message)
{
	buf_adds(line, "{\"time\":\"");
	add_time(line);
	buf_addf(line, "\",\"tool\":\"%s\",\"level\":\"%s\"", tool_name, level);
	buf_adds(line, ",\"message\":");
	text_add_json(line, buf_view(message));
	buf_addc(line, '}');
}

/* JOURNAL_STREAM is DEVICE:INODE of the stderr that systemd opened; it may have
 * been redirected since. */
static bool
is_journal(void)
{
	const char *told = getenv("JOURNAL_STREAM");
	char actual[48];
	struct stat st;

	if (told == NULL || fstat(STDERR_FILENO, &st) != 0)
		return false;
	snprintf(actual, sizeof(actual), "%llu:%llu",
	    (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	return strcmp(told, actual) == 0;
}

static void
add_text(struct buf *line, const char *level, const struct buf *message)
{
	if (is_journal()) {
		buf_addf(line, "<%d>",
		    *level == 'i'       ? 6
			: *level == 'w' ? 4
					: 3);
	} else if (log_timestamps) {
		add_time(line);
		buf_addc(line, ' ');
	}
	buf_addf(line, "%s: %s: ", tool_name, level);
	text_add_line(line, buf_view(message));
}

static void
emit(const char *level, const struct buf *message)
{
	struct buf line = BUF_INIT;

	if (log_format == LOG_JSON)
		add_json(&line, level, message);
	else
		add_text(&line, level, message);
	buf_addc(&line, '\n');
	/* an error on stderr cannot be reported */
	if (!line.failed && write(STDERR_FILENO, line.data, line.len) < 0)
		errno = 0;
	buf_release(&line);
}

static void
emit_own(const char *level, const char *fmt, ...)
{
	struct buf message = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_addvf(&message, fmt, ap);
	va_end(ap);
	emit(level, &message);
	buf_release(&message);
}

/* The entry of fmt, or a free one, or else the oldest. */
static struct kind *
find_kind(const char *fmt)
{
	struct kind *k = &kinds[0];

	for (size_t i = 0; i < KINDS; i++) {
		if (kinds[i].fmt == fmt || kinds[i].fmt == NULL)
			return &kinds[i];
		if (kinds[i].since < k->since)
			k = &kinds[i];
	}
	return k;
}

/* May one more message of this kind be shown? */
static bool
admit(const char *level, const char *fmt)
{
	struct kind *k = find_kind(fmt);
	int64_t now = clock_ms();

	if (k->fmt != fmt || now - k->since >= LOG_WINDOW_MS) {
		if (k->fmt == fmt && k->hidden > 0)
			emit_own(level,
			    "suppressed %u messages like the next one",
			    k->hidden);
		*k = (struct kind){.fmt = fmt, .since = now};
	}
	if (k->shown < LOG_BURST) {
		k->shown++;
		return true;
	}
	if (k->hidden++ == 0)
		emit_own(level,
		    "suppressing messages like the last one for up to %d s",
		    LOG_WINDOW_MS / 1000);
	return false;
}

static void
keep(struct log_kept *k, const char *level, const struct buf *message)
{
	bool is_hint = strcmp(level, "hint") == 0;
	struct buf *to = is_hint ? &k->hint : &k->error;

	if (!is_hint) {
		buf_clear(&k->error);
		buf_clear(&k->hint);
	}
	if (to->len > 0)
		buf_adds(to, "  ");
	buf_addv(to, buf_view(message));
}

static void
report(enum log_level threshold, const char *level, const char *fmt, va_list ap)
{
	bool is_error = threshold == LOG_ERROR;
	struct buf message = BUF_INIT;
	int saved = errno;

	if (is_error || admit(level, fmt)) {
		buf_addvf(&message, fmt, ap);
		if (is_error && log_kept != NULL)
			keep(log_kept, level, &message);
		if (!is_error || log_kept == NULL || !log_kept->silent)
			emit(level, &message);
		buf_release(&message);
	}
	errno = saved;
}

#define EMIT_AT(threshold, level) \
	do { \
		va_list ap; \
		if (log_threshold < (threshold)) \
			return; \
		va_start(ap, fmt); \
		report(threshold, level, fmt, ap); \
		va_end(ap); \
	} while (0)

void
log_error(const char *fmt, ...)
{
	EMIT_AT(LOG_ERROR, "error");
}

void
log_hint(const char *fmt, ...)
{
	EMIT_AT(LOG_ERROR, "hint");
}

void
log_warning(const char *fmt, ...)
{
	EMIT_AT(LOG_WARNING, "warning");
}

void
log_info(const char *fmt, ...)
{
	EMIT_AT(LOG_INFO, "info");
}
