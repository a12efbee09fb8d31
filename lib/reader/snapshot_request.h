/*
 * Asking for a snapshot: a message in the source's WAL that the reader of the
 * slot finds in its stream (snapshot.h).  Functions that return int return an
 * exit code and have logged the error.
 */
#ifndef SNAPSHOT_REQUEST_H
#define SNAPSHOT_REQUEST_H

#include "pg/pg.h"
#include "reader/provision.h"
#include "reader/snapshot_seal.h"

/* Zero-initialise. */
struct snapshot_request {
	char id[17];
	struct buf tables; /* JSON strings with commas; empty: all */
	struct snapshot_key key;
};

/* Draws the id, and reads the key for the seal (NULL: none). */
int snapshot_request_init(struct snapshot_request *r, const char *key_file);
void snapshot_request_release(struct snapshot_request *r);

/* Adds a table. */
void snapshot_request_add(struct snapshot_request *r, struct pg *pg,
    struct view schema, struct view table);

/* Adds the tables of a list.  EXIT_CONFIG if one is not published. */
int snapshot_request_add_list(struct snapshot_request *r, struct pg *pg,
    const char *publication, const struct table_list *list);

/* Appends the message's content, for the reader of this slot. */
int snapshot_request_write(
    const struct snapshot_request *r, const char *slot, struct buf *content);

/* Writes the message, in the transaction that pg is in, if it is in one.
 * EXIT_NOPERM if the role may not. */
int snapshot_request_send(
    const struct snapshot_request *r, struct pg *pg, const char *slot);

/* May the role write messages?  EXIT_NOPERM: no. */
int snapshot_request_check(struct pg *pg);

/* Says on stdout that the request was made. */
int snapshot_request_say(const struct snapshot_request *r);

/* Asks for the rows of these tables (NULL: all that are published), and says so
 * on stdout. */
int snapshot_request(
    const struct provision_options *o, const struct table_list *tables);

#endif
