/* The version of the tools, and of the schema they work with. */
#ifndef VERSION_H
#define VERSION_H

#define PHILOTES_VERSION "0.1.0"
#define PHILOTES_SCHEMA  2

#endif
