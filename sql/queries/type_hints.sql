-- What a schema line says of types of columns that are not PostgreSQL's own,
-- beyond what the WAL has: a row for each type in $1 (OIDs), whose modifiers are
-- $2, in order.  The name, where the WAL does not tell it: of an array, and of a
-- type or domain with a modifier.  The domain, if it is one.  The labels of an
-- enum, or of an array of them, as JSON.
SELECT CASE WHEN c.type < 10000 OR b.modifier >= 0 OR e.oid IS NOT NULL
            THEN pg_catalog.format_type(b.type, b.modifier) END,
       dn.nspname, d.typname,
       (SELECT '[' || pg_catalog.string_agg(
            pg_catalog.to_json(l.enumlabel::pg_catalog.text)::pg_catalog.text,
            ',' ORDER BY l.enumsortorder) || ']'
        FROM pg_catalog.pg_enum l
        WHERE l.enumtypid = coalesce(e.oid, b.type))
FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.oid[]),
                pg_catalog.unnest($2::pg_catalog.int4[]))
     WITH ORDINALITY c (type, modifier, n)
LEFT JOIN pg_catalog.pg_type d ON d.oid = c.type AND d.typtype = 'd'
LEFT JOIN pg_catalog.pg_namespace dn ON dn.oid = d.typnamespace
LEFT JOIN LATERAL (
	WITH RECURSIVE base AS (
		SELECT c.type, c.modifier, t.typtype, t.typbasetype, t.typtypmod
		FROM pg_catalog.pg_type t WHERE t.oid = c.type
		UNION ALL
		SELECT t.oid, base.typtypmod, t.typtype, t.typbasetype, t.typtypmod
		FROM base JOIN pg_catalog.pg_type t ON t.oid = base.typbasetype
		WHERE base.typtype = 'd')
	SELECT base.type, base.modifier FROM base WHERE base.typtype <> 'd') b
  ON true
LEFT JOIN pg_catalog.pg_type e ON e.typarray = b.type AND b.type <> 0
ORDER BY c.n
