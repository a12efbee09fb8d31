/*
 * Members of a line as values of the types that the stream has.  What is wrong
 * is noted once: the first refusal sticks, and what is returned after it means
 * nothing.
 */
#ifndef MEMBER_H
#define MEMBER_H

#include <stdint.h>

#include "base/buf.h"
#include "json/json_read.h"

/* Why a line was refused, and which one it is, as far as that can be told. */
struct line_error {
	const char *reason; /* a literal */
	size_t offset;      /* bytes from the start of the line */
	struct view key;    /* the member it is about, or null */
	bool control;       /* it is, or was to be, a control line */
	bool no_memory;     /* the line may be all right */
	bool too_long;      /* so may it be */
	/* of the event; null, or 0: not known */
	struct view source_id;
	struct view schema_name;
	struct view table_name;
	struct view lsn;
	uint64_t commit_lsn;
	uint64_t seq;
};

/* A line being taken apart. */
struct member_reader {
	struct buf *scratch; /* for decoded text; has room, does not move */
	struct view line;
	struct line_error *e;
	bool failed;
	bool storable; /* all values are known to be, see json_read.h */
};

/* Notes what is wrong with the member `key`, at a place in the line. */
void member_refuse(struct member_reader *g, struct view at, struct view key,
    const char *reason);
void member_refuse_json(struct member_reader *g, struct view text,
    struct view key, const struct json_error *je);

/* Decoded; \u0000 is refused. */
struct view member_key(struct member_reader *g, const struct json_member *m);
struct view member_string(struct member_reader *g, const struct json_member *m);
/* One that is not empty. */
struct view member_name(struct member_reader *g, const struct json_member *m);

/* The text too, if that is wanted. */
uint64_t member_lsn(
    struct member_reader *g, const struct json_member *m, struct view *text);
int64_t member_i64(
    struct member_reader *g, const struct json_member *m, int64_t min);
uint32_t member_timeline(struct member_reader *g, const struct json_member *m);
int64_t member_time(struct member_reader *g, const struct json_member *m);
struct view member_operation(
    struct member_reader *g, const struct json_member *m);

/* A value that is kept as JSON text, or a null view.  The view shows it as
 * jsonb, which would keep only one of two members with the same key. */
struct view member_json(
    struct member_reader *g, const struct json_member *m, enum json_kind kind);
/* An array of strings, as JSON text, or a null view. */
struct view member_strings(
    struct member_reader *g, const struct json_member *m);

#endif
