/* The version of the tools, and of the schema they work with, which
 * sql/001_schema.sql and the queries of sql/operator know, too. */
#ifndef VERSION_H
#define VERSION_H

#define PHILOTES_VERSION "0.1.0"
#define PHILOTES_SCHEMA  4

#endif
