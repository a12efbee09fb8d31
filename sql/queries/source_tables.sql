-- Ordinary and partitioned tables that could be published in the publication
-- $1; whether their replica identity allows it, 'ok' or the reason why not; and
-- whether they are in it.  Partitions and children are published with their
-- root, so theirs must allow it too.
WITH RECURSIVE members AS (
	SELECT c.oid AS root, c.oid FROM pg_catalog.pg_class c
	WHERE c.relkind IN ('r', 'p')
	UNION
	SELECT m.root, i.inhrelid FROM members m
	JOIN pg_catalog.pg_inherits i ON i.inhparent = m.oid),
states AS (
	SELECT c.oid, c.relname,
	       CASE
	       WHEN c.relpersistence <> 'p' THEN 'it is not logged'
	       WHEN c.relkind <> 'r' THEN 'ok'
	       WHEN c.relreplident = 'f' THEN 'ok'
	       WHEN c.relreplident = 'n'
	       THEN 'its replica identity is NOTHING'
	       WHEN EXISTS (SELECT FROM pg_catalog.pg_index i
	                    WHERE i.indrelid = c.oid AND i.indisvalid
	                      AND i.indisunique AND i.indimmediate
	                      AND i.indpred IS NULL
	                      AND CASE c.relreplident
	                          WHEN 'i' THEN i.indisreplident
	                          ELSE i.indisprimary END) THEN 'ok'
	       WHEN c.relreplident = 'i'
	       THEN 'the index of its replica identity is missing'
	       ELSE 'it has no primary key'
	       END AS state
	FROM pg_catalog.pg_class c),
published AS (
	SELECT c.oid FROM pg_catalog.pg_publication_tables t
	JOIN pg_catalog.pg_namespace n ON n.nspname = t.schemaname
	JOIN pg_catalog.pg_class c
	  ON c.relnamespace = n.oid AND c.relname = t.tablename
	WHERE t.pubname = $1)
SELECT n.nspname, c.relname,
       coalesce((SELECT CASE s.oid WHEN c.oid THEN s.state
                        ELSE format('of %I, %s', s.relname, s.state) END
                 FROM members m JOIN states s ON s.oid = m.oid
                 WHERE m.root = c.oid AND s.state <> 'ok'
                 ORDER BY s.oid <> c.oid LIMIT 1), 'ok'),
       EXISTS (SELECT FROM members m JOIN published p ON p.oid = m.oid
               WHERE m.root = c.oid)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND n.nspname NOT IN ('philotes', 'pg_catalog', 'information_schema')
  AND n.nspname !~ '^pg_(toast|temp)'
ORDER BY 1, 2
