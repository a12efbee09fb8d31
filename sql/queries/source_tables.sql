-- The ordinary and partitioned tables of the database; whether they can be in
-- the publication $1, as 'ok' or the reason why not; and whether they are in
-- it.  Partitions and children are published with their root table, so their
-- replica identities count too.
--
-- A replica identity must have no generated column that is not published.  Up
-- to version 17 no generated column is published: the server silently leaves it
-- out of the key; in an identity FULL it does not matter, since its value
-- follows from the other columns.  From version 18 on the server refuses UPDATE
-- and DELETE; a stored generated column is published if the publication or its
-- column list says so.  Columns of newer catalogs are read from the row as
-- JSON.
WITH RECURSIVE members AS (
	SELECT c.oid AS root, c.oid FROM pg_catalog.pg_class c
	WHERE c.relkind IN ('r', 'p')
	UNION
	SELECT m.root, i.inhrelid FROM members m
	JOIN pg_catalog.pg_inherits i ON i.inhparent = m.oid),
published AS (
	SELECT c.oid, pg_catalog.to_jsonb(t) -> 'attnames' AS columns
	FROM pg_catalog.pg_publication_tables t
	JOIN pg_catalog.pg_namespace n ON n.nspname = t.schemaname
	JOIN pg_catalog.pg_class c
	  ON c.relnamespace = n.oid AND c.relname = t.tablename
	WHERE t.pubname = $1),
server AS (
	SELECT pg_catalog.current_setting('server_version_num')::int >= 180000
	           AS publishes_generated,
	       (SELECT pg_catalog.to_jsonb(p) ->> 'pubgencols' = 's'
	        FROM pg_catalog.pg_publication p WHERE p.pubname = $1)
	           AS all_stored),
not_published AS (
	SELECT a.attrelid AS oid, a.attnum, server.publishes_generated
	FROM pg_catalog.pg_attribute a CROSS JOIN server
	LEFT JOIN published p ON p.oid = a.attrelid
	WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> ''
	  AND NOT (server.publishes_generated AND a.attgenerated = 's'
	           AND coalesce(p.columns ? a.attname, server.all_stored, false))),
identities AS (
	SELECT i.indrelid, i.indkey FROM pg_catalog.pg_index i
	JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
	WHERE i.indisvalid AND i.indisunique AND i.indimmediate
	  AND i.indpred IS NULL
	  AND CASE c.relreplident WHEN 'd' THEN i.indisprimary
	                          WHEN 'i' THEN i.indisreplident END),
states AS (
	SELECT c.oid, c.relname,
	       CASE
	       WHEN c.relpersistence <> 'p' THEN 'it is unlogged'
	       WHEN c.relkind <> 'r' THEN 'ok'
	       WHEN EXISTS (SELECT FROM not_published a
	                    WHERE a.oid = c.oid AND CASE c.relreplident
	                    WHEN 'f' THEN a.publishes_generated
	                    ELSE EXISTS (SELECT FROM identities i
	                                 WHERE i.indrelid = c.oid
	                                   AND a.attnum = ANY (i.indkey)) END)
	       THEN 'its replica identity has a generated column, which is not published'
	       WHEN c.relreplident = 'f' THEN 'ok'
	       WHEN c.relreplident = 'n'
	       THEN 'its replica identity is NOTHING'
	       WHEN c.oid IN (SELECT i.indrelid FROM identities i) THEN 'ok'
	       WHEN c.relreplident = 'i'
	       THEN 'the index of its replica identity is missing'
	       ELSE 'it has no primary key'
	       END AS state
	FROM pg_catalog.pg_class c)
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
