-- The transactions that have changed the table $1.$2 or one of its partitions and
-- have not ended, by virtual transaction id with commas; of those in $3 if that is
-- not null.
WITH RECURSIVE tree AS (
	SELECT c.oid FROM pg_catalog.pg_class c
	JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname = $1::text AND c.relname = $2::text
	UNION ALL
	SELECT i.inhrelid FROM tree
	JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid)
SELECT pg_catalog.string_agg(DISTINCT l.virtualtransaction, ',')
FROM pg_catalog.pg_locks l
WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.granted
  AND l.database = (SELECT oid FROM pg_catalog.pg_database
                    WHERE datname = pg_catalog.current_database())
  AND l.relation IN (SELECT oid FROM tree)
  AND ($3::text IS NULL
       OR l.virtualtransaction = ANY (pg_catalog.string_to_array($3, ',')))
