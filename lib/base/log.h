/*
 * Messages to stderr, one line each, written by one write(2) so that tools
 * that share a stderr do not mix theirs.  What is hostile in one (see text.h)
 * becomes '?', in JSON an escape.
 *
 *   tool: error: could not VERB "OBJECT": REASON
 *   tool: hint: A sentence.
 *
 * or, with LOG_JSON, {"time":…,"tool":…,"level":…,"message":…}.  No row values
 * and no secrets are ever passed in.  errno is preserved.
 *
 * A line of text begins with the time if that was asked for; if stderr is
 * journald's (JOURNAL_STREAM of systemd.exec(5)), which has the time anyhow,
 * with the level as <N> of sd-daemon(3) instead.
 *
 * Warnings and info of one kind, which is a format string, are shown LOG_BURST
 * times in LOG_WINDOW_MS; what comes beyond that is counted only.  Errors and
 * hints always show.
 */
#ifndef LOG_H
#define LOG_H

#include <stdarg.h>
#include <stdbool.h>

#define LOG_BURST     20
#define LOG_WINDOW_MS 10000

enum log_format { LOG_TEXT, LOG_JSON };

enum log_level {
	LOG_ERROR,
	LOG_WARNING,
	LOG_INFO,
};

/* Process-wide, set once by main: tool is kept, not copied. */
void log_init(const char *tool);
void log_configure(
    enum log_format format, enum log_level level, bool timestamps);

/* From now on what fails is no error of ours: it is logged as info. */
void log_errors_as_info(bool on);

/* Was LOG_JSON configured? */
bool log_is_json(void);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* What to do about the error just logged: a sentence. */
void log_hint(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
