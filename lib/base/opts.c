#include "base/opts.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "base/num.h"
#include "base/signals.h"
#include "base/version.h"

#define OPT_MAX   48
#define COUNT_MAX 2147483647u

/* The options of every tool. */
static bool help_flag, version_flag, quiet_flag, verbose_flag, stamps_flag;
static int log_format_choice;
static const char *const log_formats[] = {"text", "json", NULL};

static const struct opt common[] = {
    {'q', "quiet", NULL, OPT_FLAG, &quiet_flag, NULL, "log errors only", 0,
	NULL},
    {'v', "verbose", NULL, OPT_FLAG, &verbose_flag, NULL, "log what is done", 0,
	NULL},
    {0, "log-format", "text|json", OPT_CHOICE, &log_format_choice,
	"PHILOTES_LOG_FORMAT", "form of the log on stderr (text)", 0,
	log_formats},
    {0, "log-timestamps", NULL, OPT_FLAG, &stamps_flag,
	"PHILOTES_LOG_TIMESTAMPS", "begin lines of text with the time", 0,
	NULL},
    {'h', "help", NULL, OPT_FLAG, &help_flag, NULL, "print this and exit", 0,
	NULL},
    {'V', "version", NULL, OPT_FLAG, &version_flag, NULL,
	"print the version and exit", 0, NULL},
};
#define NCOMMON (sizeof(common) / sizeof(*common))

static bool flag_given[OPT_MAX]; /* in the last opts_parse */

static const struct opt *
opt_at(const struct opts *o, size_t i)
{
	return i < o->n ? &o->table[i] : &common[i - o->n];
}

static bool
set_choice(const struct opt *t, struct view text)
{
	for (int i = 0; t->choices[i] != NULL; i++) {
		if (view_eq(view_of(t->choices[i]), text)) {
			*(int *)t->dest = i;
			return true;
		}
	}
	return false;
}

static bool
set_count(const struct opt *t, struct view text)
{
	uint64_t v;

	if (!num_parse_u64(text, &v) || v < t->min || v > COUNT_MAX)
		return false;
	*(uint64_t *)t->dest = v;
	return true;
}

/* text is the variable's value, or NULL for the flag. */
static bool
set_flag(const struct opt *t, const char *text)
{
	*(bool *)t->dest = text == NULL || strcmp(text, "true") == 0;
	return text == NULL || *(bool *)t->dest || strcmp(text, "false") == 0;
}

/* Sets the destination; false: text is not a value of the option's kind. */
static bool
set(const struct opt *t, const char *text)
{
	struct opt_list *list = t->dest;

	switch (t->kind) {
	case OPT_FLAG:
		return set_flag(t, text);
	case OPT_TEXT:
		*(const char **)t->dest = text;
		return *text != '\0';
	case OPT_LIST:
		if (*text == '\0' || list->n == OPT_LIST_MAX)
			return false;
		list->item[list->n++] = text;
		return true;
	case OPT_COUNT:
		return set_count(t, view_of(text));
	case OPT_DURATION:
		return num_parse_duration(view_of(text), t->dest);
	case OPT_CHOICE:
		return set_choice(t, view_of(text));
	}
	return false;
}

/* Why set refused a text; room has n bytes for the reason. */
static const char *
reason(const struct opt *t, char *room, size_t n)
{
	switch (t->kind) {
	case OPT_COUNT:
		snprintf(room, n, "not a whole number from %llu to %u",
		    (unsigned long long)t->min, COUNT_MAX);
		return room;
	case OPT_DURATION:
		return "not a duration such as 5s, 1h30m or 7d";
	case OPT_CHOICE:
		snprintf(room, n, "not one of %s", t->arg);
		return room;
	case OPT_FLAG:
		return "neither true nor false";
	case OPT_TEXT:
		break;
	case OPT_LIST:
		return "empty, or given too often";
	}
	return "empty";
}

/* Reads the variables of the options that no flag has set. */
static int
read_environment(const struct opts *o, const bool *given)
{
	char room[64];

	for (size_t i = 0; i < o->n + NCOMMON; i++) {
		const struct opt *t = opt_at(o, i);
		const char *text = t->env != NULL ? getenv(t->env) : NULL;

		if (given[i] || text == NULL || *text == '\0' || set(t, text))
			continue;
		log_error("could not use %s=\"%s\": %s", t->env, text,
		    reason(t, room, sizeof(room)));
		return EXIT_CONFIG;
	}
	return EXIT_DONE;
}

/* Fills the tables of getopt_long(3).  A long option is returned as 256 and its
 * index, a short one as its letter. */
static void
fill_getopt(const struct opts *o, struct option *longs, char *shorts)
{
	size_t n = o->n + NCOMMON, s = 0;

	shorts[s++] = '+'; /* stop at the first operand */
	shorts[s++] = ':'; /* return ':' for a missing argument */
	for (size_t i = 0; i < n && i < OPT_MAX; i++) {
		const struct opt *t = opt_at(o, i);

		longs[i] = (struct option){t->name,
		    t->arg != NULL ? required_argument : no_argument, NULL,
		    256 + (int)i};
		if (t->letter == 0)
			continue;
		shorts[s++] = t->letter;
		if (t->arg != NULL)
			shorts[s++] = ':';
	}
	shorts[s] = '\0';
}

/* The index of the option that getopt_long returned. */
static size_t
find(const struct opts *o, int value)
{
	size_t i = 0;

	if (value >= 256)
		return (size_t)value - 256;
	while (opt_at(o, i)->letter != value)
		i++;
	return i;
}

int
opts_usage(const struct opts *o, const char *fmt, ...)
{
	struct buf b = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_addvf(&b, fmt, ap);
	va_end(ap);
	log_error("could not use the arguments: %.*s", VIEW_FMT(buf_view(&b)));
	log_hint("Try \"%s --help\".", o->tool);
	buf_release(&b);
	return EXIT_USAGE;
}

int
opts_extra(const struct opts *o, const char *arg)
{
	if (strchr(arg, '=') != NULL || strstr(arg, "://") != NULL)
		return opts_usage(o, "a connection string without -d");
	return opts_usage(o, "unexpected argument \"%s\"", arg);
}

/* The option is the last argument.  The shell may have removed its value: an
 * unquoted # begins a comment. */
static int
no_value(const struct opts *o, const char *option)
{
	int rc = opts_usage(o, "%s needs a value", option);

	for (size_t i = 0; i < o->n; i++) {
		const struct opt *t = &o->table[i];

		if (strncmp(option, "--", 2) == 0 && t->arg != NULL &&
		    strcmp(option + 2, t->name) == 0 &&
		    strchr(t->arg, '#') != NULL)
			log_hint("An id must be in quotes, '#42': to a shell "
				 "a # begins a comment.");
	}
	return rc;
}

static int
one_flag(const struct opts *o, int value, char **argv, int before, bool *given)
{
	const struct opt *t;
	char room[64];
	size_t i;

	if (value == ':')
		return no_value(o, argv[optind - 1]);
	if (value == '?' && optopt > 0 && optopt < 256)
		return opts_usage(o, "unknown option \"-%c\"", optopt);
	if (value == '?' && optopt >= 256)
		return opts_usage(o, "--%s takes no value",
		    opt_at(o, (size_t)optopt - 256)->name);
	if (value == '?')
		return opts_usage(o, "unknown option \"%.*s\"",
		    (int)strcspn(argv[before], "="), argv[before]);
	i = find(o, value);
	t = opt_at(o, i);
	given[i] = true;
	if (set(t, optarg))
		return EXIT_DONE;
	return opts_usage(o, "--%s \"%s\": %s", t->name, optarg,
	    reason(t, room, sizeof(room)));
}

static int
read_flags(const struct opts *o, int argc, char **argv, bool *given)
{
	struct option longs[OPT_MAX + 1] = {{0}};
	char shorts[2 * OPT_MAX + 3];
	int value, one, rc = EXIT_DONE, before = 1;

	fill_getopt(o, longs, shorts);
	opterr = 0;
	while ((value = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		one = one_flag(o, value, argv, before, given);
		if (rc == EXIT_DONE)
			rc = one;
		before = optind;
	}
	return rc;
}

static void
print_option(const struct opt *t)
{
	char head[64];

	snprintf(head, sizeof(head), "%c%c%s --%s%s%s",
	    t->letter != 0 ? '-' : ' ', t->letter != 0 ? t->letter : ' ',
	    t->letter != 0 ? "," : " ", t->name, t->arg != NULL ? " " : "",
	    t->arg != NULL ? t->arg : "");
	printf("  %-31s %s\n", head, t->help);
	if (t->env != NULL)
		printf("  %-31s [%s]\n", "", t->env);
}

static int
flush_stdout(void)
{
	if (fflush(stdout) == 0)
		return EXIT_DONE;
	log_error("could not write \"stdout\": %s", strerror(errno));
	return EXIT_IO;
}

/* The meaning of an exit code in a word or two. */
static const char *
meaning(int code)
{
	switch ((enum exitcode)code) {
	case EXIT_DONE:
		return "done";
	case EXIT_USAGE:
		return "usage";
	case EXIT_DATA:
		return "bad input";
	case EXIT_OPERATOR:
		return "operator needed";
	case EXIT_BUG:
		return "broken invariant";
	case EXIT_OS:
		return "out of resources";
	case EXIT_IO:
		return "I/O";
	case EXIT_RETRY:
		return "try again";
	case EXIT_PROTOCOL:
		return "protocol";
	case EXIT_NOPERM:
		return "no permission";
	case EXIT_CONFIG:
		return "configuration";
	}
	return "";
}

static void
print_codes(const struct opts *o)
{
	int column = printf("\nExit status: 0 done");

	for (const int *code = o->codes; *code != 0; code++) {
		if (column + 4 + (int)strlen(meaning(*code)) > 76)
			column = printf(",\n ") - 2;
		else
			column += printf(",");
		column += printf(" %d %s", *code, meaning(*code));
	}
	printf(".\n");
}

bool
opts_given(const struct opts *o, const void *dest)
{
	for (size_t i = 0; i < o->n; i++) {
		if (o->table[i].dest == dest)
			return flag_given[i];
	}
	return false;
}

static int
print_help(const struct opts *o)
{
	printf("usage: %s\n\n%s\n\n", o->synopsis, o->about);
	for (size_t i = 0; i < o->n + NCOMMON; i++)
		print_option(opt_at(o, i));
	print_codes(o);
	printf("\nDurations are written 500ms, 5s, 1h30m, 7d.  "
	       "See %s(1).\n",
	    o->tool);
	return flush_stdout();
}

static int
print_version(const struct opts *o)
{
	printf(
	    "%s %s (schema %d)\n", o->tool, PHILOTES_VERSION, PHILOTES_SCHEMA);
	return flush_stdout();
}

bool
opts_parse(const struct opts *o, int argc, char **argv, int *rest, int *rc)
{
	const char *format = getenv("PHILOTES_LOG_FORMAT");
	bool given[OPT_MAX] = {false};

	/* errors in the flags are logged in this format, too */
	if (format != NULL && strcmp(format, "json") == 0)
		log_configure(LOG_JSON, LOG_WARNING, false);
	*rc = read_flags(o, argc, argv, given);
	*rest = optind;
	memcpy(flag_given, given, sizeof(given));
	if (*rc != EXIT_DONE)
		return false;
	if (help_flag || version_flag) {
		*rc = help_flag ? print_help(o) : print_version(o);
		return false;
	}
	*rc = read_environment(o, given);
	log_configure(log_format_choice == 1 ? LOG_JSON : LOG_TEXT,
	    quiet_flag         ? LOG_ERROR
		: verbose_flag ? LOG_INFO
			       : LOG_WARNING,
	    stamps_flag);
	return *rc == EXIT_DONE;
}

bool
opts_start(const struct opts *o, int argc, char **argv, int *rest, int *rc)
{
	log_init(o->tool);
	*rc = signals_init();
	return *rc == EXIT_DONE && opts_parse(o, argc, argv, rest, rc);
}
