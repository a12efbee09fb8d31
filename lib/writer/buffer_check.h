/*
 * The report of buffer-write --check: is the buffer ready to be written?  See
 * findings.h for its form.
 */
#ifndef BUFFER_CHECK_H
#define BUFFER_CHECK_H

/*
 * Checks the connection, the schema, the role and the clock and, if stdin
 * begins with a start line, whether that stream may be appended (see gap.h).
 * Changes nothing.  conninfo NULL: libpq's own.  Returns EXIT_DONE or the exit
 * code that writing would end with.
 */
int buffer_check(const char *conninfo);

#endif
