/*
 * Lines from a descriptor that may be slow.  The caller is told when the next
 * line is not there yet, so that it can do what it does when input is dry.
 */
#ifndef LINE_H
#define LINE_H

#include <stdint.h>

#include "base/buf.h"

enum line_status {
	LINE_READY, /* one line */
	LINE_DRY,   /* nothing to read now: poll the descriptor */
	LINE_EOF,   /* the end, right after a line */
	LINE_CUT,   /* the end, in the middle of a line */
	LINE_LONG,  /* longer than max: see line_skip */
	LINE_ERROR, /* read(2) failed, see errno; ENOMEM: the buffer */
};

struct line_reader {
	int fd;
	size_t max;      /* bytes in a line, without its newline */
	uint64_t number; /* of the line returned or refused last */
	struct buf b;
	size_t from;    /* the first byte not returned yet */
	size_t scanned; /* no newline is before this */
	bool eof;
};

void line_init(struct line_reader *r, int fd, size_t max);

/*
 * The next line, without its newline; valid until the next call.  Never
 * blocks, whatever the descriptor's flags.
 */
enum line_status line_next(struct line_reader *r, struct view *line);

/*
 * After LINE_LONG, which leaves in *line what is there of it: the line that was
 * too long, piece by piece, in the memory that max allows.  LINE_LONG: a piece;
 * LINE_READY: the last one, up to the newline; LINE_DRY, LINE_CUT and
 * LINE_ERROR as line_next, without a piece.
 */
enum line_status line_skip(struct line_reader *r, struct view *piece);

/* Frees memory, leaves the descriptor open. */
void line_release(struct line_reader *r);

#endif
