#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

static char said[16384];
static FILE *file;

/* What was written to stderr since the last call. */
static const char *
heard(void)
{
	size_t n;

	fflush(stderr);
	rewind(file);
	n = fread(said, 1, sizeof(said) - 1, file);
	said[n] = '\0';
	ok(ftruncate(fileno(file), 0) == 0, "read what was logged");
	rewind(file);
	return said;
}

static unsigned
lines_of(const char *text)
{
	unsigned n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return n;
}

/* 2026-11-25T12:00:00.123456Z and a space */
static bool
has_stamp(const char *line)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd.ddddddZ ";

	for (size_t i = 0; form[i] != '\0'; i++) {
		if (form[i] == 'd' ? line[i] < '0' || line[i] > '9'
				   : line[i] != form[i])
			return false;
	}
	return true;
}

static void
test_forms(void)
{
	char place[64];
	struct stat st;

	log_configure(LOG_TEXT, LOG_INFO, false);
	log_error("a\nb");
	ok(strcmp(heard(), "tool: error: a?b\n") == 0, "text: one line");
	log_configure(LOG_TEXT, LOG_INFO, true);
	errno = ENOENT;
	log_info("hello");
	ok(errno == ENOENT, "errno is kept");
	ok(has_stamp(heard()) && strcmp(said + 28, "tool: info: hello\n") == 0,
	    "text with the time");
	log_configure(LOG_JSON, LOG_INFO, true);
	log_warning("say \"%s\"", "x");
	ok(strncmp(heard(), "{\"time\":\"2", 10) == 0 &&
		strstr(said,
		    "Z\",\"tool\":\"tool\",\"level\":\"warning\","
		    "\"message\":\"say \\\"x\\\"\"}\n") != NULL,
	    "JSON");
	ok(fstat(STDERR_FILENO, &st) == 0, "stat of stderr");
	snprintf(place, sizeof(place), "%llu:%llu",
	    (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", place, 1);
	log_configure(LOG_TEXT, LOG_INFO, true);
	log_warning("for the journal");
	ok(strcmp(heard(), "<4>tool: warning: for the journal\n") == 0,
	    "the journal gets the level, not the time");
	setenv("JOURNAL_STREAM", "1:1", 1);
	log_hint("elsewhere");
	ok(has_stamp(heard()), "stderr is not the journal any more");
	unsetenv("JOURNAL_STREAM");
}

static void
test_limit(void)
{
	log_configure(LOG_TEXT, LOG_WARNING, false);
	for (int i = 0; i < LOG_BURST + 50; i++)
		log_warning("flood %d", i);
	ok(lines_of(heard()) == LOG_BURST + 1, "a flood is suppressed");
	ok(strstr(said, "suppressing messages like the last one") != NULL,
	    "- which is logged");
	ok(strstr(said, "flood 19\n") != NULL &&
		strstr(said, "flood 20") == NULL,
	    "- after LOG_BURST messages");
	log_warning("another");
	ok(strcmp(heard(), "tool: warning: another\n") == 0,
	    "- of one format string");
	for (int i = 0; i < LOG_BURST + 50; i++)
		log_error("error %d", i);
	ok(lines_of(heard()) == LOG_BURST + 50, "errors are always shown");
	log_info("not shown");
	ok(*heard() == '\0', "below the threshold");
}

static bool
is_kept(const struct buf *b, const char *text)
{
	return view_eq(buf_view(b), view_of(text));
}

static void
test_keep(void)
{
	struct log_kept kept = {.silent = false};

	log_configure(LOG_TEXT, LOG_WARNING, false);
	log_keep(&kept);
	log_error("first");
	log_hint("its hint.");
	log_error("second");
	log_warning("a warning");
	log_hint("A.");
	log_hint("B.");
	ok(lines_of(heard()) == 6, "what is kept is logged, too");
	ok(is_kept(&kept.error, "second"), "the last error is kept");
	ok(is_kept(&kept.hint, "A.  B."), "- with its hints");
	kept.silent = true;
	log_error("third");
	log_warning("a warning");
	ok(strcmp(heard(), "tool: warning: a warning\n") == 0,
	    "silent: errors are kept only");
	ok(is_kept(&kept.error, "third") && kept.hint.len == 0,
	    "a new error forgets the old hints");
	log_keep(NULL);
	log_error("fourth");
	ok(lines_of(heard()) == 1 && is_kept(&kept.error, "third"),
	    "NULL ends it");
	log_kept_release(&kept);
}

int
main(void)
{
	file = tmpfile();
	if (file == NULL || dup2(fileno(file), STDERR_FILENO) < 0)
		return 1;
	log_init("tool");
	test_forms();
	test_limit();
	test_keep();
	return done_testing();
}
