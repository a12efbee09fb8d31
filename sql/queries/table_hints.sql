-- What a schema line says of the table $1 (an OID) beyond what the WAL has, as it
-- is now: a row a column, in order, with its number, whether it is NOT NULL, the
-- value that rows have that are older than the column, and its place in the
-- primary key, which the columns of INCLUDE have not; and the table whose
-- partition it is, if it is one.
SELECT a.attname, a.attnum, a.attnotnull,
       CASE WHEN a.atthasmissing
            THEN (a.attmissingval::pg_catalog.text::pg_catalog.text[])[1] END,
       (SELECT pg_catalog.array_position(
            (i.indkey::int2[])[0:i.indnkeyatts - 1], a.attnum)
        FROM pg_catalog.pg_index i
        WHERE i.indrelid = a.attrelid AND i.indisprimary),
       p.oid, n.nspname, p.relname
FROM pg_catalog.pg_attribute a
LEFT JOIN pg_catalog.pg_class p
  ON p.oid = pg_catalog.pg_partition_root(a.attrelid) AND p.oid <> a.attrelid
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace
WHERE a.attrelid = $1::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
