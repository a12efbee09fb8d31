/*
 *	file	= *record
 *	record	= reason LF line LF
 *	reason	= { line byte key? reason source_id? (commit_lsn seq)? }
 */
#include "writer/rejects.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/exitcode.h"
#include "base/json_write.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/utf8.h"

#define WRITE_BYTES ((size_t)64 * 1024)
#define NAME_BYTES  512 /* longer names are cut in a reason */

static int
failed(const struct rejects *r, const char *doing)
{
	log_error("could not %s \"%s\": %s", doing, r->path, strerror(errno));
	return errno == ENOMEM ? EXIT_OS : EXIT_IO;
}

static int
flush(struct rejects *r)
{
	if (r->b.failed) {
		errno = ENOMEM;
		return failed(r, "write");
	}
	for (size_t done = 0; done < r->b.len;) {
		ssize_t n = write(r->fd, r->b.data + done, r->b.len - done);

		if (n < 0 && errno != EINTR)
			return failed(r, "write");
		done += n > 0 ? (size_t)n : 0;
	}
	buf_clear(&r->b);
	return EXIT_DONE;
}

/* Ends an incomplete last record with newlines. */
static int
mend(struct rejects *r)
{
	char piece[4096], last = '\n';
	size_t newlines = 0;
	ssize_t n;

	while ((n = read(r->fd, piece, sizeof(piece))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			newlines += piece[i] == '\n';
		last = piece[n - 1];
	}
	if (n < 0)
		return failed(r, "read");
	if (last != '\n') {
		buf_addc(&r->b, '\n');
		newlines++;
	}
	if (newlines % 2 != 0)
		buf_addc(&r->b, '\n');
	return flush(r);
}

/* Without this a crash may lose the entry of a new file. */
static int
sync_directory(struct rejects *r)
{
	const char *slash = strrchr(r->path, '/');
	size_t n = slash == NULL ? 0 : (size_t)(slash - r->path) + 1;
	struct view dir = n > 0 ? (struct view){r->path, n} : VIEW_LIT(".");
	int fd, rc = EXIT_DONE;

	buf_addv(&r->b, dir);
	if (buf_str(&r->b) == NULL)
		return flush(r);
	fd = open(r->b.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	buf_clear(&r->b);
	if (fd < 0 || fsync(fd) != 0)
		rc = failed(r, "sync the directory of");
	if (fd >= 0)
		close(fd);
	return rc;
}

int
rejects_open(struct rejects *r, const char *path)
{
	struct stat st;
	int rc = EXIT_DONE;

	*r = (struct rejects){.path = path, .fd = -1};
	if (path == NULL)
		return rc;
	r->fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (r->fd < 0 || fstat(r->fd, &st) != 0)
		return failed(r, "open");
	/* a FIFO cannot be synced, and a full one would block us for ever */
	if (S_ISFIFO(st.st_mode)) {
		errno = ESPIPE;
		return failed(r, "open");
	}
	if (S_ISREG(st.st_mode))
		rc = mend(r);
	if (rc == EXIT_DONE && S_ISREG(st.st_mode))
		rc = sync_directory(r);
	return rc;
}

void
rejects_begin(struct rejects *r, uint64_t line, const struct line_error *e)
{
	buf_addf(&r->b, "{\"line\":%llu,\"byte\":%zu", (unsigned long long)line,
	    e->offset + 1);
	if (e->key.p != NULL) {
		buf_adds(&r->b, ",\"key\":");
		json_write_string(&r->b, utf8_clip(e->key, NAME_BYTES));
	}
	buf_adds(&r->b, ",\"reason\":");
	json_write_string(&r->b, view_of(e->reason));
	if (e->source_id.p != NULL) {
		buf_adds(&r->b, ",\"source_id\":");
		json_write_string(&r->b, utf8_clip(e->source_id, NAME_BYTES));
	}
	if (e->seq != 0)
		buf_addf(&r->b, ",\"commit_lsn\":\"%s\",\"seq\":%llu",
		    lsn_text(e->commit_lsn).s, (unsigned long long)e->seq);
	buf_adds(&r->b, "}\n");
}

int
rejects_add(struct rejects *r, struct view piece)
{
	buf_addv(&r->b, piece);
	return r->b.failed || r->b.len >= WRITE_BYTES ? flush(r) : EXIT_DONE;
}

int
rejects_end(struct rejects *r)
{
	buf_addc(&r->b, '\n');
	r->unsynced++;
	return flush(r);
}

int
rejects_sync(struct rejects *r)
{
	if (r->unsynced == 0)
		return EXIT_DONE;
	if (fsync(r->fd) != 0)
		return failed(r, "sync");
	log_warning("wrote %llu rejected lines to \"%s\"",
	    (unsigned long long)r->unsynced, r->path);
	r->unsynced = 0;
	return EXIT_DONE;
}

void
rejects_close(struct rejects *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	buf_release(&r->b);
}
