#include "reader/repeat.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/lsn.h"

struct last {
	char lsn[LSN_TEXT_MAX];
	unsigned count;
	char kind[21];
};

static bool
read_last(const char *path, struct last *l)
{
	FILE *f = fopen(path, "re");
	bool whole;

	if (f == NULL)
		return false;
	whole = fscanf(f, "%17s %9u %20s", l->lsn, &l->count, l->kind) == 3;
	fclose(f);
	return whole;
}

/* Writes a new file and renames it, so that no reader sees half of it. */
static bool
write_last(const char *path, const struct last *l)
{
	struct buf new = BUF_INIT;
	FILE *f = NULL;
	bool ok;

	buf_addf(&new, "%s.new", path);
	if (buf_str(&new) != NULL)
		f = fopen(new.data, "we");
	ok = f != NULL &&
	    fprintf(f, "%s %u %s\n", l->lsn, l->count, l->kind) > 0;
	if (f != NULL && fclose(f) != 0)
		ok = false;
	ok = ok && rename(new.data, path) == 0;
	buf_release(&new);
	return ok;
}

unsigned
repeat_count(const char *path, uint64_t lsn, const char *kind)
{
	struct last before, now = {.count = 1};

	snprintf(now.lsn, sizeof(now.lsn), "%s", lsn_text(lsn).s);
	snprintf(now.kind, sizeof(now.kind), "%s", kind);
	if (read_last(path, &before) && strcmp(before.lsn, now.lsn) == 0 &&
	    strcmp(before.kind, now.kind) == 0)
		now.count = before.count + 1;
	if (!write_last(path, &now))
		log_warning(
		    "could not write \"%s\": %s", path, strerror(errno));
	return now.count;
}
