/*
 * Prints the start line that reading with --ack would begin with, so that
 * buffer-write --check can compare slot and buffer (see writer/gap.h).
 */
#ifndef START_LINE_H
#define START_LINE_H

/* Fails as reading would.  Changes nothing.  source_id NULL: the default. */
int start_line_print(const char *conninfo, const char *source_id,
    const char *slot, const char *publication);

#endif
