/*
 * The text form of an array (manual, section 8.15.6, and array_out()):
 *
 *	text	= [ bounds "=" ] level
 *	bounds	= 1*( "[" lower ":" upper "]" ), only where a lower is not 1
 *	level	= "{" [ item *( delim item ) ] "}"
 *	item	= level | '"' *( char | '\' char ) '"' | bare
 *	bare	= "NULL", or 1*char without any of { } " \ and delim
 *	delim	= ";" in arrays of box, else ","
 *
 * There are at most 6 levels; only the innermost has elements; an empty array
 * is {} whatever its dimensions.
 */
#include "reader/pgvalue.h"

#include "base/json_write.h"
#include "json/json_read.h"

/* The JSON form of a type; ARRAY is combined with the kind of its elements. */
enum kind {
	STRING,
	BOOL,
	NUMBER,
	JSON,
	JSONB,
	ELEMENT = 7,
	ARRAY = 8,
	SEMICOLON = 16, /* is the delimiter */
};

/* By OID; a type that is not listed is a STRING.  The comment names the type,
 * for an ARRAY its element type. */
static const unsigned char kinds[] = {
    [16] = BOOL,
    [20] = NUMBER, /* int8 */
    [21] = NUMBER, /* int2 */
    [23] = NUMBER, /* int4 */
    [26] = NUMBER, /* oid */
    [114] = JSON,
    [700] = NUMBER,  /* float4 */
    [701] = NUMBER,  /* float8 */
    [1700] = NUMBER, /* numeric */
    [3802] = JSONB,

    [143] = ARRAY,              /* xml */
    [199] = ARRAY | JSON,       /* json */
    [271] = ARRAY,              /* xid8 */
    [629] = ARRAY,              /* line */
    [651] = ARRAY,              /* cidr */
    [719] = ARRAY,              /* circle */
    [775] = ARRAY,              /* macaddr8 */
    [791] = ARRAY,              /* money */
    [1000] = ARRAY | BOOL,      /* bool */
    [1001] = ARRAY,             /* bytea */
    [1002] = ARRAY,             /* char */
    [1003] = ARRAY,             /* name */
    [1005] = ARRAY | NUMBER,    /* int2 */
    [1006] = ARRAY,             /* int2vector */
    [1007] = ARRAY | NUMBER,    /* int4 */
    [1008] = ARRAY,             /* regproc */
    [1009] = ARRAY,             /* text */
    [1010] = ARRAY,             /* tid */
    [1011] = ARRAY,             /* xid */
    [1012] = ARRAY,             /* cid */
    [1013] = ARRAY,             /* oidvector */
    [1014] = ARRAY,             /* bpchar */
    [1015] = ARRAY,             /* varchar */
    [1016] = ARRAY | NUMBER,    /* int8 */
    [1017] = ARRAY,             /* point */
    [1018] = ARRAY,             /* lseg */
    [1019] = ARRAY,             /* path */
    [1020] = ARRAY | SEMICOLON, /* box */
    [1021] = ARRAY | NUMBER,    /* float4 */
    [1022] = ARRAY | NUMBER,    /* float8 */
    [1027] = ARRAY,             /* polygon */
    [1028] = ARRAY | NUMBER,    /* oid */
    [1034] = ARRAY,             /* aclitem */
    [1040] = ARRAY,             /* macaddr */
    [1041] = ARRAY,             /* inet */
    [1115] = ARRAY,             /* timestamp */
    [1182] = ARRAY,             /* date */
    [1183] = ARRAY,             /* time */
    [1185] = ARRAY,             /* timestamptz */
    [1187] = ARRAY,             /* interval */
    [1231] = ARRAY | NUMBER,    /* numeric */
    [1270] = ARRAY,             /* timetz */
    [1561] = ARRAY,             /* bit */
    [1563] = ARRAY,             /* varbit */
    [2201] = ARRAY,             /* refcursor */
    [2207] = ARRAY,             /* regprocedure */
    [2208] = ARRAY,             /* regoper */
    [2209] = ARRAY,             /* regoperator */
    [2210] = ARRAY,             /* regclass */
    [2211] = ARRAY,             /* regtype */
    [2949] = ARRAY,             /* txid_snapshot */
    [2951] = ARRAY,             /* uuid */
    [3221] = ARRAY,             /* pg_lsn */
    [3643] = ARRAY,             /* tsvector */
    [3644] = ARRAY,             /* gtsvector */
    [3645] = ARRAY,             /* tsquery */
    [3735] = ARRAY,             /* regconfig */
    [3770] = ARRAY,             /* regdictionary */
    [3807] = ARRAY | JSONB,     /* jsonb */
    [3905] = ARRAY,             /* int4range */
    [3907] = ARRAY,             /* numrange */
    [3909] = ARRAY,             /* tsrange */
    [3911] = ARRAY,             /* tstzrange */
    [3913] = ARRAY,             /* daterange */
    [3927] = ARRAY,             /* int8range */
    [4073] = ARRAY,             /* jsonpath */
    [4090] = ARRAY,             /* regnamespace */
    [4097] = ARRAY,             /* regrole */
    [4192] = ARRAY,             /* regcollation */
    [5039] = ARRAY,             /* pg_snapshot */
    [6150] = ARRAY,             /* int4multirange */
    [6151] = ARRAY,             /* nummultirange */
    [6152] = ARRAY,             /* tsmultirange */
    [6153] = ARRAY,             /* tstzmultirange */
    [6155] = ARRAY,             /* datemultirange */
    [6157] = ARRAY,             /* int8multirange */
};

#define DIMENSIONS_MAX 6

/* As json_storable, but marks b as failed if memory runs out. */
static bool
is_storable(struct buf *b, struct view v, int kind)
{
	struct json_error e;

	if (json_storable(v, JSON_STORE_DEPTH, kind == JSON, &e))
		return true;
	if (strcmp(e.reason, "out of memory") == 0)
		b->failed = true;
	return false;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Is it a zero with a minus sign?  JSON readers drop that sign. */
static bool
is_minus_zero(struct view v)
{
	size_t i;

	if (v.p[0] != '-')
		return false;
	for (i = 1; i < v.n && (v.p[i] == '0' || v.p[i] == '.'); i++)
		;
	return i == v.n || v.p[i] == 'e' || v.p[i] == 'E';
}

static void
write_number(struct buf *b, struct view v)
{
	/* valid JSON that begins and ends like a number is a number */
	if (v.n > 0 && (v.p[0] == '-' || is_digit(v.p[0])) &&
	    is_digit(v.p[v.n - 1]) && !is_minus_zero(v) &&
	    is_storable(b, v, NUMBER))
		buf_addv(b, v);
	else
		json_write_string(b, v);
}

static void
write_bool(struct buf *b, struct view v)
{
	if (view_eq(v, VIEW_LIT("t")))
		buf_addv(b, VIEW_LIT("true"));
	else if (view_eq(v, VIEW_LIT("f")))
		buf_addv(b, VIEW_LIT("false"));
	else
		json_write_string(b, v);
}

static void
blank(char *p, size_t n, char c)
{
	const char *end = p + n;

	while ((p = memchr(p, c, (size_t)(end - p))) != NULL)
		*p++ = ' ';
}

/* Raw newlines are only between tokens: in a string they are escaped. */
static void
embed(struct buf *b, struct view json)
{
	char *to = buf_reserve(b, json.n);

	buf_addv(b, json);
	if (to == NULL)
		return;
	blank(to, json.n, '\n');
	blank(to, json.n, '\r');
}

/* null, perhaps with white space around it. */
static bool
is_json_null(struct view v)
{
	while (v.n > 0 && memchr(" \t\n\r", v.p[0], 4) != NULL)
		v = (struct view){v.p + 1, v.n - 1};
	while (v.n > 0 && memchr(" \t\n\r", v.p[v.n - 1], 4) != NULL)
		v.n--;
	return view_eq(v, VIEW_LIT("null"));
}

/* Writes a value that is no array.  False: JSON was written as a string. */
static bool
write_scalar(struct buf *b, int kind, struct view v)
{
	switch (kind) {
	case BOOL:
		write_bool(b, v);
		return true;
	case NUMBER:
		write_number(b, v);
		return true;
	case JSON:
	case JSONB:
		if (is_json_null(v) || !is_storable(b, v, kind))
			break;
		embed(b, v);
		return true;
	default:
		json_write_string(b, v);
		return true;
	}
	json_write_string(b, v);
	return false;
}

/* A cursor in an array's text. */
struct array {
	const char *p;
	const char *end;
	int kind;
	char delim;
	struct buf scratch;
};

/* The content of the quoted element at p; null if it is malformed. */
static struct view
take_quoted(struct array *a)
{
	const char *from = ++a->p;
	bool escaped = false;
	struct view v;

	for (; a->p < a->end && *a->p != '"'; a->p++)
		if (*a->p == '\\') {
			escaped = true;
			if (++a->p == a->end)
				break;
		}
	if (a->p == a->end)
		return VIEW_NULL;
	v = (struct view){from, (size_t)(a->p - from)};
	a->p++;
	if (!escaped)
		return v;
	buf_clear(&a->scratch);
	if (buf_reserve(&a->scratch, v.n) == NULL)
		return VIEW_NULL;
	for (size_t i = 0; i < v.n; i++) {
		i += v.p[i] == '\\';
		a->scratch.data[a->scratch.len++] = v.p[i];
	}
	return buf_view(&a->scratch);
}

static struct view
take_bare(struct array *a)
{
	const char *from = a->p;

	for (; a->p < a->end && *a->p != a->delim && *a->p != '}'; a->p++)
		if (*a->p == '{' || *a->p == '"' || *a->p == '\\')
			return VIEW_NULL;
	return a->p > from ? (struct view){from, (size_t)(a->p - from)}
			   : VIEW_NULL;
}

enum outcome { WRITTEN, MALFORMED, UNSTORABLE };

static enum outcome
write_element(struct buf *b, struct array *a)
{
	bool quoted = *a->p == '"';
	struct view v = quoted ? take_quoted(a) : take_bare(a);

	if (v.p == NULL)
		return MALFORMED;
	if (!quoted && view_eq(v, VIEW_LIT("NULL")))
		buf_addv(b, VIEW_LIT("null"));
	else if (!write_scalar(b, a->kind, v))
		return UNSTORABLE;
	return WRITTEN;
}

static enum outcome
write_levels(struct buf *b, struct array *a)
{
	enum outcome outcome;
	int depth = 0, innermost = 0;

	while (a->p < a->end) {
		if (*a->p == '{') {
			if (++depth > DIMENSIONS_MAX)
				return MALFORMED;
			buf_addc(b, '[');
			a->p++;
			continue;
		}
		if (innermost == 0)
			innermost = depth;
		if (depth == 0 || depth != innermost)
			return MALFORMED;
		outcome = write_element(b, a);
		if (outcome != WRITTEN)
			return outcome;
		for (; depth > 0 && a->p < a->end && *a->p == '}'; a->p++) {
			buf_addc(b, ']');
			depth--;
		}
		if (depth == 0)
			return a->p == a->end ? WRITTEN : MALFORMED;
		if (a->p < a->end && *a->p++ != a->delim)
			return MALFORMED;
		buf_addc(b, ',');
	}
	return MALFORMED;
}

static bool
is_json(int kind)
{
	return kind == JSON || kind == JSONB;
}

/* False: it was written as a string because jsonb cannot hold an element. */
static bool
write_array(struct buf *b, int kind, struct view text)
{
	struct array a = {text.p, text.p + text.n, kind & ELEMENT,
	    kind & SEMICOLON ? ';' : ',', BUF_INIT};
	enum outcome outcome;
	size_t from = b->len;

	if (view_eq(text, VIEW_LIT("{}"))) {
		buf_addv(b, VIEW_LIT("[]"));
		return true;
	}
	outcome = write_levels(b, &a);
	/* the depth of the array adds to that of its elements */
	if (outcome == WRITTEN && is_json(a.kind) && !b->failed &&
	    !is_storable(
		b, (struct view){b->data + from, b->len - from}, a.kind))
		outcome = UNSTORABLE;
	if (a.scratch.failed)
		b->failed = true;
	buf_release(&a.scratch);
	if (outcome == WRITTEN)
		return true;
	b->len = from;
	json_write_string(b, text);
	return outcome != UNSTORABLE;
}

bool
pgvalue_write(struct buf *b, uint32_t oid, struct view text)
{
	int kind = oid < sizeof(kinds) ? kinds[oid] : STRING;

	if (text.p == NULL)
		kind = STRING;
	if (kind & ARRAY)
		return !write_array(b, kind, text);
	return !write_scalar(b, kind, text);
}
