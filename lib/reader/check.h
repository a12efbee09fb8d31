/*
 * The report of --check: can the source be read?  One line on stdout for each
 * finding; a JSON object each if the log is JSON.
 */
#ifndef CHECK_H
#define CHECK_H

#include "reader/provision.h"

/*
 * Returns EXIT_DONE, or the exit code that a reader would end with, and has
 * logged the reader's error.  Changes nothing on the source.
 */
int check_source(const struct provision_options *o);

#endif
