#include "base/line.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#define READ_BYTES ((size_t)256 * 1024)

void
line_init(struct line_reader *r, int fd, size_t max)
{
	*r = (struct line_reader){.fd = fd, .max = max};
}

static bool
take_line(struct line_reader *r, struct view *line)
{
	const char *start = r->b.data + r->from, *end;

	if (r->scanned == r->b.len)
		return false;
	end = memchr(r->b.data + r->scanned, '\n', r->b.len - r->scanned);
	if (end == NULL) {
		r->scanned = r->b.len;
		return false;
	}
	*line = (struct view){start, (size_t)(end - start)};
	r->number++;
	r->from += line->n + 1;
	r->scanned = r->from;
	return true;
}

/* Reads once.  LINE_READY: more bytes, or the end of file. */
static enum line_status
fill(struct line_reader *r)
{
	struct pollfd p = {r->fd, POLLIN, 0};
	ssize_t n;
	char *to;

	if (poll(&p, 1, 0) <= 0)
		return LINE_DRY;
	buf_consume(&r->b, r->from);
	r->scanned -= r->from;
	r->from = 0;
	to = buf_reserve(&r->b, READ_BYTES);
	if (to == NULL) {
		errno = ENOMEM;
		return LINE_ERROR;
	}
	n = read(r->fd, to, READ_BYTES);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? LINE_DRY
							 : LINE_ERROR;
	r->eof = n == 0;
	r->b.len += (size_t)n;
	return LINE_READY;
}

enum line_status
line_next(struct line_reader *r, struct view *line)
{
	enum line_status status;

	while (!take_line(r, line)) {
		if (r->b.len - r->from > r->max) {
			r->number++;
			*line = (struct view){
			    r->b.data + r->from, r->b.len - r->from};
			return LINE_LONG;
		}
		if (r->eof)
			return r->b.len == r->from ? LINE_EOF : LINE_CUT;
		status = fill(r);
		if (status != LINE_READY)
			return status;
	}
	if (line->n <= r->max)
		return LINE_READY;
	r->from -= line->n + 1;
	r->scanned = r->from;
	return LINE_LONG;
}

enum line_status
line_skip(struct line_reader *r, struct view *piece)
{
	const char *start, *end;
	enum line_status status;
	size_t n;

	if (r->from == r->b.len) {
		status = r->eof ? LINE_CUT : fill(r);
		if (status != LINE_READY)
			return status;
		if (r->eof)
			return LINE_CUT;
	}
	start = r->b.data + r->from;
	n = r->b.len - r->from;
	end = memchr(start, '\n', n);
	*piece = (struct view){start, end != NULL ? (size_t)(end - start) : n};
	r->from += piece->n + (end != NULL);
	r->scanned = r->from;
	return end != NULL ? LINE_READY : LINE_LONG;
}

void
line_release(struct line_reader *r)
{
	buf_release(&r->b);
	r->from = r->scanned = 0;
}
