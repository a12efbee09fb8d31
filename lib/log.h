/*
 * Messages to stderr, one line each, written by one write(2) so that tools
 * that share a stderr do not mix theirs.  Control bytes become '?'.
 *
 *   tool: error: could not VERB "OBJECT": REASON
 *   tool: hint: A sentence.
 *
 * or, with LOG_JSON, {"time":…,"tool":…,"level":…,"message":…}.  No row values
 * and no secrets are ever passed in.  errno is preserved.
 */
#ifndef LOG_H
#define LOG_H

#include <stdarg.h>

enum log_format { LOG_TEXT, LOG_JSON };

enum log_level {
	LOG_ERROR,
	LOG_WARNING,
	LOG_INFO,
};

/* Process-wide, set once by main: tool is kept, not copied. */
void log_init(const char *tool);
void log_configure(enum log_format format, enum log_level level);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* What to do about the error just logged: a sentence. */
void log_hint(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
