/*
 * Messages to stderr, one line each.  A line is written by one write(2), so
 * that tools that share a stderr do not mix their lines.  Unsafe characters
 * (see text.h) become '?', or escapes in JSON.
 *
 *   tool: error: could not VERB "OBJECT": REASON
 *   tool: hint: A sentence.
 *
 * or, with LOG_JSON, {"time":…,"tool":…,"level":…,"message":…}.  Callers never
 * pass row values or secrets.  errno is preserved.
 *
 * A line of text begins with the time if log_configure was told so.  If stderr
 * is the journal (JOURNAL_STREAM, systemd.exec(5)), which records the time
 * itself, it begins with the level as <N> (sd-daemon(3)) instead.
 *
 * Of the warnings and infos with the same format string, LOG_BURST are shown
 * in LOG_WINDOW_MS, and the others are only counted.  Errors and hints are
 * always shown.
 */
#ifndef LOG_H
#define LOG_H

#include <stdbool.h>

#include "base/buf.h"

#define LOG_BURST     20
#define LOG_WINDOW_MS 10000

enum log_format { LOG_TEXT, LOG_JSON };

enum log_level {
	LOG_ERROR,
	LOG_WARNING,
	LOG_INFO,
};

/* Process-wide, set once by main; tool is kept, not copied. */
void log_init(const char *tool);
void log_configure(
    enum log_format format, enum log_level level, bool timestamps);

/* The last error and its hints, which are joined by two spaces. */
struct log_kept {
	struct buf error;
	struct buf hint;
	bool silent; /* they do not go to stderr */
};

/* From now on errors and hints are kept in *k, too; NULL: no longer. */
void log_keep(struct log_kept *k);
void log_kept_release(struct log_kept *k);

/* Was LOG_JSON configured? */
bool log_is_json(void);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A sentence that says what to do about the error just logged. */
void log_hint(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
