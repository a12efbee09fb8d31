#include "base/findings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/exitcode.h"
#include "base/text.h"

static void
print_json(const struct finding *f, struct view text)
{
	static const char *const results[] = {
	    [FINDING_OK] = "ok",
	    [FINDING_WARNING] = "warning",
	    [FINDING_ERROR] = "error",
	};
	struct buf b = BUF_INIT;

	buf_addf(&b, "{\"check\":\"%s\",\"result\":\"%s\"", f->check,
	    results[f->level]);
	if (f->level == FINDING_ERROR)
		buf_addf(&b, ",\"code\":%d", f->code);
	buf_adds(&b, ",\"message\":");
	text_add_json(&b, text);
	if (f->hint != NULL) {
		buf_adds(&b, ",\"hint\":");
		text_add_json(&b, view_of(f->hint));
	}
	printf("%.*s}\n", VIEW_FMT(buf_view(&b)));
	buf_release(&b);
}

static void
print_text(const struct finding *f, struct view text)
{
	static const char *const results[] = {
	    [FINDING_OK] = "ok",
	    [FINDING_WARNING] = "WARNING",
	    [FINDING_ERROR] = "ERROR",
	};
	struct buf b = BUF_INIT;

	buf_addf(&b, "%-8s %-12s ", results[f->level], f->check);
	text_add_line(&b, text);
	if (f->hint != NULL) {
		buf_addf(&b, "\n%-21s ", "");
		text_add_line(&b, view_of(f->hint));
	}
	printf("%.*s\n", VIEW_FMT(buf_view(&b)));
	buf_release(&b);
}

static void
print(struct findings *all, const struct finding *f, struct view text)
{
	if (log_is_json())
		print_json(f, text);
	else
		print_text(f, text);
	if (fflush(stdout) != 0)
		all->unwritten = errno;
}

void
findings_begin(struct findings *all)
{
	all->printed = true;
	log_keep(&all->logged);
}

static void
note(struct findings *all, const struct finding *f)
{
	if (f->level == FINDING_ERROR && all->rc == EXIT_DONE)
		all->rc = f->code;
}

void
findings_add(
    struct findings *all, const struct finding *f, const char *fmt, ...)
{
	struct buf text = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_addvf(&text, fmt, ap);
	va_end(ap);
	if (all->printed)
		print(all, f, buf_view(&text));
	if (f->level == FINDING_ERROR && all->rc == EXIT_DONE) {
		log_error("%.*s", VIEW_FMT(buf_view(&text)));
		if (!all->printed && f->hint != NULL)
			log_hint("%s", f->hint);
	}
	note(all, f);
	buf_release(&text);
}

void
findings_add_logged(struct findings *all, const char *check, int code)
{
	struct finding f = {
	    .check = check, .level = FINDING_ERROR, .code = code};

	if (all->logged.hint.len > 0)
		f.hint = buf_str(&all->logged.hint);
	if (all->printed)
		print(all, &f, buf_view(&all->logged.error));
	note(all, &f);
}

int
findings_end(struct findings *all)
{
	log_keep(NULL);
	log_kept_release(&all->logged);
	if (all->unwritten == 0)
		return all->rc;
	log_error("could not write \"stdout\": %s", strerror(all->unwritten));
	return EXIT_IO;
}
