/*
 * Reads lines from a descriptor without blocking.  LINE_DRY tells the caller
 * that the next line has not arrived yet, so that it can do other work.
 */
#ifndef LINE_H
#define LINE_H

#include <stdint.h>

#include "base/buf.h"

enum line_status {
	LINE_READY, /* a line */
	LINE_DRY,   /* no whole line has arrived: poll the descriptor */
	LINE_EOF,   /* end of file, not in the middle of a line */
	LINE_CUT,   /* end of file in the middle of a line */
	LINE_LONG,  /* a line longer than max: see line_skip */
	LINE_ERROR, /* read(2) failed or memory ran out: see errno */
};

struct line_reader {
	int fd;
	size_t max;      /* bytes in a line, without its newline */
	uint64_t number; /* of the line returned or refused last */
	struct buf b;
	size_t from;    /* the first byte not returned yet */
	size_t scanned; /* there is no newline from there to here */
	bool eof;
};

void line_init(struct line_reader *r, int fd, size_t max);

/*
 * Reads the next line, without its newline, valid until the next call.  Never
 * blocks, whatever the descriptor's flags.
 */
enum line_status line_next(struct line_reader *r, struct view *line);

/*
 * After LINE_LONG, *line holds the part of the line that has been read so far.
 * line_skip then returns the line from its beginning in pieces, so that memory
 * stays within what max allows.  LINE_LONG: a piece; LINE_READY: the last
 * piece, up to the newline; LINE_DRY, LINE_CUT and LINE_ERROR as in line_next,
 * without a piece.
 */
enum line_status line_skip(struct line_reader *r, struct view *piece);

/* Frees memory, leaves the descriptor open. */
void line_release(struct line_reader *r);

#endif
