/*
 * Members of a line, read as values of the types that the stream has.  Only the
 * first refusal is kept; values returned after it mean nothing.
 */
#ifndef MEMBER_H
#define MEMBER_H

#include <stdint.h>

#include "base/buf.h"
#include "json/json_scan.h"

/* Why a line was refused, and which event it holds, as far as known. */
struct line_error {
	const char *reason; /* a literal */
	size_t offset;      /* bytes from the start of the line */
	struct view key;    /* the member that was refused, or null */
	bool control;       /* it is a control line, or begins like one */
	bool no_memory;     /* memory ran out: the line may be valid */
	bool too_long;      /* it was not read: it may be valid */
	/* of the event; null or 0 if not known */
	struct view source_id;
	struct view schema_name;
	struct view table_name;
	struct view lsn;
	uint64_t commit_lsn;
	uint64_t seq;
};

/* A line whose members are being read. */
struct member_reader {
	struct buf *scratch; /* for decoded text; has room, so never moves */
	struct view line;
	struct line_error *e;
	bool failed;
	bool storable; /* all values are storable: see json_read.h */
};

/* Refuses the line because of the member `key`; `at` points into the line, or
 * is a null view. */
void member_refuse(struct member_reader *g, struct view at, struct view key,
    const char *reason);
void member_refuse_json(struct member_reader *g, struct view text,
    struct view key, const struct json_error *je);

/* The decoded text; \u0000 is refused. */
struct view member_key(struct member_reader *g, const struct json_member *m);
struct view member_string(struct member_reader *g, const struct json_member *m);
/* The same, but an empty string is refused. */
struct view member_name(struct member_reader *g, const struct json_member *m);

/* Stores the text as well, unless `text` is NULL. */
uint64_t member_lsn(
    struct member_reader *g, const struct json_member *m, struct view *text);
int64_t member_i64(
    struct member_reader *g, const struct json_member *m, int64_t min);
uint32_t member_timeline(struct member_reader *g, const struct json_member *m);
int64_t member_time(struct member_reader *g, const struct json_member *m);
struct view member_operation(
    struct member_reader *g, const struct json_member *m);

/*
 * The JSON text of a value of this kind, or a null view for null.  Duplicate
 * keys are refused: philotes.cdc_events shows the value as jsonb, which would
 * keep only one of them.
 */
struct view member_json(
    struct member_reader *g, const struct json_member *m, enum json_kind kind);
/* Refuses a value that jsonb cannot hold. */
void member_storable(struct member_reader *g, const struct json_member *m);
/* The JSON text of an array of strings, or a null view for null. */
struct view member_strings(
    struct member_reader *g, const struct json_member *m);

#endif
