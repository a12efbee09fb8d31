/*
 * A report on whether the source is fit to be read, for people or, if the log
 * is JSON, for programs: a line on stdout for each thing that was looked at.
 */
#ifndef CHECK_H
#define CHECK_H

#include "reader/provision.h"

/*
 * Returns EXIT_DONE or the exit code that reading would end with; the error
 * that it would log has been logged.  Nothing is changed.
 */
int check_source(const struct provision_options *o);

#endif
