/* The version of the tools, and that of the buffer's schema, which
 * sql/001_schema.sql and the queries in sql/operator repeat. */
#ifndef VERSION_H
#define VERSION_H

#define PHILOTES_VERSION "0.1.0"
#define PHILOTES_SCHEMA  6

#endif
