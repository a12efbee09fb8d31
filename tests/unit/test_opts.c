#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/exitcode.h"
#include "base/log.h"
#include "base/opts.h"
#include "tap.h"

static bool flag;
static const char *text = "default";
static struct opt_list list;
static uint64_t count = 10;
static int64_t wait_ms = 5000;
static int choice;
static const char *const choices[] = {"stop", "park", NULL};

static const struct opt table[] = {
    {'f', "flag", NULL, OPT_FLAG, &flag, "PH_FLAG", "help of flag", 0, NULL},
    {'t', "text", "WORDS", OPT_TEXT, &text, "PH_TEXT", "help of text", 0, NULL},
    {'l', "list", "NAME", OPT_LIST, &list, "PH_LIST", "help of list", 0, NULL},
    {0, "count", "N", OPT_COUNT, &count, "PH_COUNT", "help of count", 1, NULL},
    {'w', "wait", "DUR", OPT_DURATION, &wait_ms, "PH_WAIT", "help of wait", 0,
	NULL},
    {0, "kind", "stop|park", OPT_CHOICE, &choice, "PH_KIND", "help of kind", 0,
	choices},
};

static const struct opts options = {"tool", "tool [options] [FILE]",
    "Does what it does.", table, sizeof(table) / sizeof(*table),
    (const int[]){64, 78, 0}};

/* Prints what differs from the defaults, then the other arguments. */
static void
print_result(int argc, char **argv, int rest)
{
	if (flag)
		printf("flag ");
	if (strcmp(text, "default") != 0)
		printf("text=%s ", text);
	for (size_t i = 0; i < list.n; i++)
		printf("list=%s ", list.item[i]);
	if (count != 10)
		printf("count=%llu ", (unsigned long long)count);
	if (wait_ms != 5000)
		printf("wait=%lld ", (long long)wait_ms);
	if (choice != 0)
		printf("kind=%d ", choice);
	printf(":");
	while (rest < argc)
		printf(" %s", argv[rest++]);
}

/* One run: its exit code and output. */
static int status;
static struct buf out, err;

static void
child(int argc, char **argv, const char *const *env)
{
	int rest = -1, rc = -1;

	for (; *env != NULL; env++) {
		const char *value = strchr(*env, '=') + 1;
		char name[32] = "";

		memcpy(name, *env, (size_t)(value - *env - 1));
		setenv(name, value, 1);
	}
	log_init("tool");
	if (opts_parse(&options, argc, argv, &rest, &rc)) {
		print_result(argc, argv, rest);
		log_error("E");
		log_warning("W");
		log_info("I");
	} else if (rc != EXIT_DONE) {
		print_result(0, argv, 0);
	}
	fflush(stdout);
	_exit(rc);
}

static void
slurp(struct buf *b, int fd)
{
	ssize_t n;

	buf_clear(b);
	do {
		char *to = buf_reserve(b, 4096);

		n = to != NULL ? read(fd, to, 4096) : -1;
		b->len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	close(fd);
}

/* args has no program name; args and env end with NULL. */
static void
run(const char *const *args, const char *const *env)
{
	char *argv[100] = {strdup("tool")};
	int argc = 1, o[2], e[2];
	pid_t pid;

	for (; args[argc - 1] != NULL; argc++)
		argv[argc] = strdup(args[argc - 1]);
	fflush(stdout);
	if (pipe(o) != 0 || pipe(e) != 0 || (pid = fork()) < 0)
		abort();
	if (pid == 0) {
		dup2(o[1], STDOUT_FILENO);
		dup2(e[1], STDERR_FILENO);
		child(argc, argv, env);
	}
	close(o[1]);
	close(e[1]);
	slurp(&out, o[0]);
	slurp(&err, e[0]);
	waitpid(pid, &status, 0);
	status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	for (int i = 0; i < argc; i++)
		free(argv[i]);
}

static bool
has(struct buf *b, const char *part)
{
	return strstr(buf_str(b), part) != NULL;
}

#define ARGS_MAX 8

static const struct {
	const char *name, *args[ARGS_MAX], *env[ARGS_MAX], *out;
} accepted[] = {
    {"nothing: the defaults", {NULL}, {NULL}, ":"},
    {"short options", {"-f", "-t", "a b", "-l", "x", "-w", "1m", NULL}, {NULL},
	"flag text=a b list=x wait=60000 :"},
    {"long options",
	{"--flag", "--text", "a", "--count", "3", "--kind", "park", NULL},
	{NULL}, "flag text=a count=3 kind=1 :"},
    {"with =", {"--text==", "--count=1", "--wait=0", "--list=x", NULL}, {NULL},
	"text== list=x count=1 wait=0 :"},
    {"clustered", {"-fta", "-lb", "-lc", NULL}, {NULL},
	"flag text=a list=b list=c :"},
    {"the last one counts", {"--count", "1", "--count", "2", NULL}, {NULL},
	"count=2 :"},
    {"operands", {"-f", "a", "-t", "b", NULL}, {NULL}, "flag : a -t b"},
    {"--", {"-f", "--", "-t", "b", NULL}, {NULL}, "flag : -t b"},
    {"-- as the last argument", {"--", NULL}, {NULL}, ":"},
    {"a value that looks like an option", {"-t", "--flag", NULL}, {NULL},
	"text=--flag :"},
    {"-- as a value", {"-t", "--", "-f", NULL}, {NULL}, "flag text=-- :"},
    {"the environment", {NULL},
	{"PH_FLAG=true", "PH_TEXT=a", "PH_LIST=b", "PH_COUNT=1",
	    "PH_WAIT=1h30m", "PH_KIND=park", NULL},
	"flag text=a list=b count=1 wait=5400000 kind=1 :"},
    {"flags beat the environment",
	{"--text=A", "--list=B", "--count=2", "--wait=1s", "--kind=stop", NULL},
	{"PH_TEXT=a", "PH_LIST=b", "PH_COUNT=1", "PH_WAIT=1h", "PH_KIND=park",
	    NULL},
	"text=A list=B count=2 wait=1000 :"},
    {"even a flag that says the default", {"--count=10", NULL},
	{"PH_COUNT=1", "PH_TEXT=a", NULL}, "text=a :"},
    {"and a malformed variable", {"--count=2", "-w", "1s", NULL},
	{"PH_COUNT=x", "PH_WAIT=5", NULL}, "count=2 wait=1000 :"},
    {"the greatest count", {"--count=2147483647", NULL}, {NULL},
	"count=2147483647 :"},
};

static void
test_accepted(void)
{
	for (size_t i = 0; i < sizeof(accepted) / sizeof(*accepted); i++) {
		run(accepted[i].args, accepted[i].env);
		ok(status == EXIT_DONE, "%s", accepted[i].name);
		is_view(buf_view(&out), view_of(accepted[i].out),
		    "- the destinations");
		is_view(buf_view(&err),
		    VIEW_LIT("tool: error: E\ntool: warning: W\n"),
		    "- the log");
	}
}

/* The error line must contain both parts. */
static const struct {
	const char *name, *args[ARGS_MAX], *env[ARGS_MAX];
	int status;
	const char *part, *other;
} refused[] = {
    {"an unknown long option", {"--bogus", NULL}, {NULL}, EXIT_USAGE, "--bogus",
	"unknown"},
    {"with a value", {"--bogus=1", NULL}, {NULL}, EXIT_USAGE, "--bogus",
	"unknown"},
    {"after other options", {"-f", "-t", "a", "--bogus", "-f", NULL}, {NULL},
	EXIT_USAGE, "\"--bogus\"", "unknown"},
    {"an unknown letter", {"-f", "-Z", NULL}, {NULL}, EXIT_USAGE, "-Z",
	"unknown"},
    {"in a cluster", {"-fZ", NULL}, {NULL}, EXIT_USAGE, "-Z", "unknown"},
    {"a missing value", {"--text", NULL}, {NULL}, EXIT_USAGE, "--text",
	"value"},
    {"of a letter", {"-f", "-t", NULL}, {NULL}, EXIT_USAGE, "-t", "value"},
    {"a value for a flag", {"--flag=yes", NULL}, {NULL}, EXIT_USAGE, "--flag",
	"error"},
    {"an empty text", {"--text=", NULL}, {NULL}, EXIT_USAGE, "--text \"\"",
	"empty"},
    {"an empty item", {"-l", "", NULL}, {NULL}, EXIT_USAGE, "--list \"\"",
	"empty"},
    {"a count of letters", {"--count", "ten", NULL}, {NULL}, EXIT_USAGE,
	"--count \"ten\"", "whole number from 1 to 2147483647"},
    {"a negative count", {"--count", "-1", NULL}, {NULL}, EXIT_USAGE,
	"--count \"-1\"", "whole number from 1 to 2147483647"},
    {"a count below the least", {"--count", "0", NULL}, {NULL}, EXIT_USAGE,
	"--count \"0\"", "whole number from 1 to 2147483647"},
    {"a count above the greatest", {"--count", "2147483648", NULL}, {NULL},
	EXIT_USAGE, "--count \"2147483648\"",
	"whole number from 1 to 2147483647"},
    {"a duration without a unit", {"-w", "5", NULL}, {NULL}, EXIT_USAGE,
	"--wait \"5\"", "duration"},
    {"an unknown choice", {"--kind", "Stop", NULL}, {NULL}, EXIT_USAGE,
	"--kind \"Stop\"", "stop|park"},
    {"an unknown format", {"--log-format", "xml", NULL}, {NULL}, EXIT_USAGE,
	"--log-format \"xml\"", "text|json"},
    {"the first error counts", {"--bogus", "--count=x", NULL}, {NULL},
	EXIT_USAGE, "--bogus", "unknown"},
    {"a flag's before a variable's", {"--wait=x", NULL}, {"PH_COUNT=y", NULL},
	EXIT_USAGE, "--wait \"x\"", "duration"},
    {"a variable: count", {NULL}, {"PH_COUNT=ten", NULL}, EXIT_CONFIG,
	"PH_COUNT=\"ten\"", "whole number from 1 to 2147483647"},
    {"a variable: below the least", {"-f", NULL}, {"PH_COUNT=0", NULL},
	EXIT_CONFIG, "PH_COUNT=\"0\"", "whole number from 1 to 2147483647"},
    {"a variable: duration", {NULL}, {"PH_WAIT=1 h", NULL}, EXIT_CONFIG,
	"PH_WAIT=\"1 h\"", "duration"},
    {"a variable: choice", {NULL}, {"PH_KIND=2", NULL}, EXIT_CONFIG,
	"PH_KIND=\"2\"", "stop|park"},
};

static void
test_refused(void)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		run(refused[i].args, refused[i].env);
		ok(status == refused[i].status, "refused with %d: %s",
		    refused[i].status, refused[i].name);
		if (!ok(has(&err, "tool: error: ") &&
			    has(&err, refused[i].part) &&
			    has(&err, refused[i].other),
			"- its message"))
			tap_show("stderr", buf_view(&err));
		ok(has(&err, "tool: hint: ") == (status == EXIT_USAGE) &&
			has(&err, "--help") == (status == EXIT_USAGE),
		    "- a hint at --help for flags only");
	}
}

static void
test_after_error(void)
{
	static const char *const args[] = {
	    "--count=x", "--text", "a", "-f", "--kind=park", NULL};
	static const char *const none[] = {NULL};

	run(args, none);
	ok(status == EXIT_USAGE, "an error among good options");
	is_view(buf_view(&out), VIEW_LIT("flag text=a kind=1 :"),
	    "- the others are set");
}

static void
test_list(void)
{
	const char *args[2 * OPT_LIST_MAX + 3] = {NULL};
	static const char *const none[] = {NULL};
	size_t n;

	/* one argument for each item, to stay below the limit of run */
	for (n = 0; n < OPT_LIST_MAX; n++)
		args[n] = "-lx";
	run(args, none);
	ok(status == EXIT_DONE, "a list of %d items", OPT_LIST_MAX);
	ok(out.len == OPT_LIST_MAX * strlen("list=x ") + 1, "- all of them");
	args[n] = "-ly";
	run(args, none);
	ok(status == EXIT_USAGE && has(&err, "--list \"y\""),
	    "one more is refused");
}

static void
test_log(void)
{
	static const char *const none[] = {NULL};
	static const struct {
		const char *args[4], *log;
	} logs[] = {
	    {{"-q", NULL}, "tool: error: E\n"},
	    {{"--quiet", NULL}, "tool: error: E\n"},
	    {{"-v", NULL}, "tool: error: E\ntool: warning: W\ntool: info: I\n"},
	    {{"--log-format", "text", NULL},
		"tool: error: E\ntool: warning: W\n"},
	};
	static const char *const json[] = {"--log-format=json", NULL};

	for (size_t i = 0; i < sizeof(logs) / sizeof(*logs); i++) {
		run(logs[i].args, none);
		is_view(buf_view(&err), view_of(logs[i].log), "the log with %s",
		    logs[i].args[0]);
	}
	run(json, none);
	ok(has(&err, "{\"time\":\"20") &&
		has(&err,
		    "Z\",\"tool\":\"tool\",\"level\":\"error\","
		    "\"message\":\"E\"}\n") &&
		has(&err, "\"level\":\"warning\",\"message\":\"W\"}\n"),
	    "the log in JSON");
}

static void
test_help(void)
{
	static const char *const
	    forms[][3] = {{"--help", NULL}, {"-h", NULL}, {"-f", "-h", NULL}},
	    *const env[] = {"PH_COUNT=bad", NULL},
	    *const parts[] = {"usage: tool [options] [FILE]\n",
		"Does what it does.", "-f, --flag", "-t, --text WORDS",
		"-l, --list NAME", "--count N", "-w, --wait DUR",
		"--kind stop|park", "help of flag", "help of text",
		"help of list", "help of count", "help of wait", "help of kind",
		"PH_FLAG", "PH_TEXT", "PH_LIST", "PH_COUNT", "PH_WAIT",
		"PH_KIND", "-h, --help", "-V, --version", "-q, --quiet",
		"-v, --verbose", "--log-format text|json"};

	for (size_t i = 0; i < 3; i++) {
		run(forms[i], env);
		ok(status == EXIT_DONE && err.len == 0, "help, form %zu", i);
	}
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		ok(has(&out, parts[i]), "- it has %s", parts[i]);
}

static void
test_version(void)
{
	static const char *const forms[][2] = {
	    {"--version", NULL}, {"-V", NULL}};
	static const char *const none[] = {NULL};

	for (size_t i = 0; i < 2; i++) {
		run(forms[i], none);
		ok(status == EXIT_DONE && err.len == 0 &&
			strncmp(buf_str(&out), "tool ", 5) == 0 &&
			out.data[out.len - 1] == '\n',
		    "version, form %zu", i);
	}
}

int
main(void)
{
	test_accepted();
	test_refused();
	test_after_error();
	test_list();
	test_log();
	test_help();
	test_version();
	buf_release(&out);
	buf_release(&err);
	return done_testing();
}
