-- The tables of the publication $1 that a request means, as schema.table: the
-- first behind $2 if $3 is null, else all that are the table $3.$4 or its
-- partitions and children.
SELECT pg_catalog.format('%I.%I', p.schemaname, p.tablename) COLLATE "C" AS name
FROM pg_catalog.pg_publication_tables p
WHERE p.pubname = $1
  AND CASE WHEN $3::text IS NULL
      THEN pg_catalog.format('%I.%I', p.schemaname, p.tablename)
               COLLATE "C" > $2
      ELSE pg_catalog.to_regclass(
               pg_catalog.format('%I.%I', p.schemaname, p.tablename)) IN (
           WITH RECURSIVE tree AS (
               SELECT pg_catalog.to_regclass(
                          pg_catalog.format('%I.%I', $3::text, $4::text)) AS oid
               UNION ALL
               SELECT i.inhrelid FROM pg_catalog.pg_inherits i
               JOIN tree ON i.inhparent = tree.oid)
           SELECT oid FROM tree) END
ORDER BY name
LIMIT CASE WHEN $3 IS NULL THEN 1 END
