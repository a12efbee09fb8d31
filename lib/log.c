#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "buf.h"
#include "json_write.h"

static const char *tool_name = "philotes";
static enum log_format log_format = LOG_TEXT;
static enum log_level log_threshold = LOG_WARNING;

void
log_init(const char *tool)
{
	tool_name = tool;
}

void
log_configure(enum log_format format, enum log_level level)
{
	log_format = format;
	log_threshold = level;
}

static void
neutralise(struct buf *line)
{
	for (size_t i = 0; i < line->len; i++) {
		unsigned char c = (unsigned char)line->data[i];

		if (c < 0x20 || c == 0x7f)
			line->data[i] = '?';
	}
}

static void
add_json(struct buf *line, const char *level, const struct buf *message)
{
	struct timespec now;
	struct tm tm;
	char stamp[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	buf_addf(line,
	    "{\"time\":\"%s.%06ldZ\",\"tool\":\"%s\",\"level\":\"%s\"", stamp,
	    now.tv_nsec / 1000, tool_name, level);
	buf_adds(line, ",\"message\":");
	json_write_string(line, buf_view(message));
	buf_addc(line, '}');
}

static void
emit(const char *level, const char *fmt, va_list ap)
{
	struct buf message = BUF_INIT, line = BUF_INIT;
	int saved = errno;

	buf_addvf(&message, fmt, ap);
	neutralise(&message);
	if (log_format == LOG_JSON) {
		add_json(&line, level, &message);
	} else {
		buf_addf(&line, "%s: %s: ", tool_name, level);
		buf_addv(&line, buf_view(&message));
	}
	buf_addc(&line, '\n');
	/* nowhere is left to report a stderr that does not take it */
	if (!line.failed && write(STDERR_FILENO, line.data, line.len) < 0)
		errno = 0;
	buf_release(&line);
	buf_release(&message);
	errno = saved;
}

#define EMIT_AT(threshold, level) \
	do { \
		va_list ap; \
		if (log_threshold < (threshold)) \
			return; \
		va_start(ap, fmt); \
		emit(level, fmt, ap); \
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
