#include "reader/typename.h"

/*
 * PostgreSQL's own types and their arrays (pg_type.dat, format_type.c); pseudo
 * types are not types of columns.  printed is what format_type() prints if that
 * is not the name.
 */
static const struct own {
	uint16_t oid;
	uint16_t array; /* 0: none, or its OID differs from server to server */
	const char *name;
	const char *printed;
} owns[] = {
    {16, 1000, "bool", "boolean"},
    {17, 1001, "bytea", NULL},
    {18, 1002, "char", "\"char\""},
    {19, 1003, "name", NULL},
    {20, 1016, "int8", "bigint"},
    {21, 1005, "int2", "smallint"},
    {22, 1006, "int2vector", NULL},
    {23, 1007, "int4", "integer"},
    {24, 1008, "regproc", NULL},
    {25, 1009, "text", NULL},
    {26, 1028, "oid", NULL},
    {27, 1010, "tid", NULL},
    {28, 1011, "xid", NULL},
    {29, 1012, "cid", NULL},
    {30, 1013, "oidvector", NULL},
    {71, 210, "pg_type", NULL},
    {75, 270, "pg_attribute", NULL},
    {81, 272, "pg_proc", NULL},
    {83, 273, "pg_class", NULL},
    {114, 199, "json", NULL},
    {142, 143, "xml", NULL},
    {194, 0, "pg_node_tree", NULL},
    {600, 1017, "point", NULL},
    {601, 1018, "lseg", NULL},
    {602, 1019, "path", NULL},
    {603, 1020, "box", NULL},
    {604, 1027, "polygon", NULL},
    {628, 629, "line", NULL},
    {650, 651, "cidr", NULL},
    {700, 1021, "float4", "real"},
    {701, 1022, "float8", "double precision"},
    {718, 719, "circle", NULL},
    {774, 775, "macaddr8", NULL},
    {790, 791, "money", NULL},
    {829, 1040, "macaddr", NULL},
    {869, 1041, "inet", NULL},
    {1033, 1034, "aclitem", NULL},
    {1042, 1014, "bpchar", NULL},
    {1043, 1015, "varchar", "character varying"},
    {1082, 1182, "date", NULL},
    {1083, 1183, "time", "time without time zone"},
    {1114, 1115, "timestamp", "timestamp without time zone"},
    {1184, 1185, "timestamptz", "timestamp with time zone"},
    {1186, 1187, "interval", NULL},
    {1248, 0, "pg_database", NULL},
    {1266, 1270, "timetz", "time with time zone"},
    {1560, 1561, "bit", "\"bit\""},
    {1562, 1563, "varbit", "bit varying"},
    {1700, 1231, "numeric", NULL},
    {1790, 2201, "refcursor", NULL},
    {2202, 2207, "regprocedure", NULL},
    {2203, 2208, "regoper", NULL},
    {2204, 2209, "regoperator", NULL},
    {2205, 2210, "regclass", NULL},
    {2206, 2211, "regtype", NULL},
    {2842, 0, "pg_authid", NULL},
    {2843, 0, "pg_auth_members", NULL},
    {2950, 2951, "uuid", NULL},
    {2970, 2949, "txid_snapshot", NULL},
    {3220, 3221, "pg_lsn", NULL},
    {3361, 0, "pg_ndistinct", NULL},
    {3402, 0, "pg_dependencies", NULL},
    {3614, 3643, "tsvector", NULL},
    {3615, 3645, "tsquery", NULL},
    {3642, 3644, "gtsvector", NULL},
    {3734, 3735, "regconfig", NULL},
    {3769, 3770, "regdictionary", NULL},
    {3802, 3807, "jsonb", NULL},
    {3904, 3905, "int4range", NULL},
    {3906, 3907, "numrange", NULL},
    {3908, 3909, "tsrange", NULL},
    {3910, 3911, "tstzrange", NULL},
    {3912, 3913, "daterange", NULL},
    {3926, 3927, "int8range", NULL},
    {4066, 0, "pg_shseclabel", NULL},
    {4072, 4073, "jsonpath", NULL},
    {4089, 4090, "regnamespace", NULL},
    {4096, 4097, "regrole", NULL},
    {4191, 4192, "regcollation", NULL},
    {4451, 6150, "int4multirange", NULL},
    {4532, 6151, "nummultirange", NULL},
    {4533, 6152, "tsmultirange", NULL},
    {4534, 6153, "tstzmultirange", NULL},
    {4535, 6155, "datemultirange", NULL},
    {4536, 6157, "int8multirange", NULL},
    {4600, 0, "pg_brin_bloom_summary", NULL},
    {4601, 0, "pg_brin_minmax_multi_summary", NULL},
    {5017, 0, "pg_mcv_list", NULL},
    {5038, 5039, "pg_snapshot", NULL},
    {5069, 271, "xid8", NULL},
    {6101, 0, "pg_subscription", NULL},
};

#define OWNS (sizeof(owns) / sizeof(*owns))

enum {
	BPCHAR = 1042,
	VARCHAR = 1043,
	TIME = 1083,
	TIMESTAMP = 1114,
	TIMESTAMPTZ = 1184,
	INTERVAL = 1186,
	TIMETZ = 1266,
	BIT = 1560,
	VARBIT = 1562,
	NUMERIC = 1700,
};

#define LENGTH_HEADER 4 /* VARHDRSZ, which some modifiers include */

/* Bits of an interval's modifier (utils/timestamp.h, utils/datetime.h). */
#define YEAR        (1 << 2)
#define MONTH       (1 << 1)
#define DAY         (1 << 3)
#define HOUR        (1 << 10)
#define MINUTE      (1 << 11)
#define SECOND      (1 << 12)
#define FULL_RANGE  0x7FFF
#define FULL_DIGITS 0xFFFF

static void
add_interval(struct buf *b, int32_t modifier)
{
	static const struct {
		int range;
		const char *fields;
	} known[] = {
	    {YEAR, " year"},
	    {MONTH, " month"},
	    {DAY, " day"},
	    {HOUR, " hour"},
	    {MINUTE, " minute"},
	    {SECOND, " second"},
	    {YEAR | MONTH, " year to month"},
	    {DAY | HOUR, " day to hour"},
	    {DAY | HOUR | MINUTE, " day to minute"},
	    {DAY | HOUR | MINUTE | SECOND, " day to second"},
	    {HOUR | MINUTE, " hour to minute"},
	    {HOUR | MINUTE | SECOND, " hour to second"},
	    {MINUTE | SECOND, " minute to second"},
	};
	int range = modifier >> 16 & FULL_RANGE;
	int digits = modifier & FULL_DIGITS;

	buf_adds(b, "interval");
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (range == known[i].range)
			buf_adds(b, known[i].fields);
	}
	if (digits != FULL_DIGITS)
		buf_addf(b, "(%d)", digits);
}

/* The scale has 11 bits and a sign (numeric.c). */
static void
add_numeric(struct buf *b, int32_t modifier)
{
	int bits = modifier - LENGTH_HEADER;
	int scale = ((bits & 0x7FF) ^ 0x400) - 0x400;

	buf_addf(b, "numeric(%d,%d)", bits >> 16 & 0xFFFF, scale);
}

/* False: the type has no modifiers. */
static bool
add_modified(struct buf *b, uint32_t oid, int32_t modifier)
{
	switch (oid) {
	case BPCHAR:
		buf_addf(b, "character(%d)", modifier - LENGTH_HEADER);
		return true;
	case VARCHAR:
		buf_addf(b, "character varying(%d)", modifier - LENGTH_HEADER);
		return true;
	case BIT:
		buf_addf(b, "bit(%d)", modifier);
		return true;
	case VARBIT:
		buf_addf(b, "bit varying(%d)", modifier);
		return true;
	case NUMERIC:
		add_numeric(b, modifier);
		return true;
	case INTERVAL:
		add_interval(b, modifier);
		return true;
	case TIME:
		buf_addf(b, "time(%d) without time zone", modifier);
		return true;
	case TIMETZ:
		buf_addf(b, "time(%d) with time zone", modifier);
		return true;
	case TIMESTAMP:
		buf_addf(b, "timestamp(%d) without time zone", modifier);
		return true;
	case TIMESTAMPTZ:
		buf_addf(b, "timestamp(%d) with time zone", modifier);
		return true;
	default:
		return false;
	}
}

bool
typename_add(struct buf *b, uint32_t oid, int32_t modifier)
{
	const struct own *t = owns;

	if (oid == 0)
		return false;
	while (t < owns + OWNS && t->oid != oid && t->array != oid)
		t++;
	if (t == owns + OWNS)
		return false;
	if (modifier < 0 || !add_modified(b, t->oid, modifier))
		buf_adds(b, t->printed != NULL ? t->printed : t->name);
	if (t->oid != oid)
		buf_adds(b, "[]");
	return true;
}

uint32_t
typename_find(struct view name)
{
	bool array = name.n > 0 && name.p[0] == '_';
	struct view element = {name.p + array, name.n - array};

	for (const struct own *t = owns; t < owns + OWNS; t++) {
		if (view_eq(element, view_of(t->name)))
			return array ? t->array : t->oid;
	}
	return 0;
}

static bool
is_plain(struct view name)
{
	if (name.n == 0 || (name.p[0] >= '0' && name.p[0] <= '9'))
		return false;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9'))
			return false;
	}
	return true;
}

static void
add_name(struct buf *b, struct view name)
{
	if (is_plain(name)) {
		buf_addv(b, name);
		return;
	}
	buf_addc(b, '"');
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] == '"')
			buf_addc(b, '"');
		buf_addc(b, name.p[i]);
	}
	buf_addc(b, '"');
}

void
typename_add_qualified(struct buf *b, struct view schema, struct view name)
{
	add_name(b, schema);
	buf_addc(b, '.');
	add_name(b, name);
}
