-- The first leaf of the table $1 behind $2, both as schema.table, and the blocks
-- of all its leaves: of a partitioned table its partitions that hold rows, else
-- itself.
WITH leaves AS (
	SELECT c.oid, c.relkind,
	       pg_catalog.format('%I.%I', n.nspname, c.relname) COLLATE "C" AS name
	FROM pg_catalog.pg_class c
	JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind <> 'p'
	  AND (c.oid = pg_catalog.to_regclass($1)
	       OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(
	                        pg_catalog.to_regclass($1)))))
SELECT (SELECT name FROM leaves WHERE name > $2 ORDER BY name LIMIT 1),
       (SELECT coalesce(sum(pg_catalog.pg_relation_size(oid)
                   / pg_catalog.current_setting('block_size')::int), 0)
        FROM leaves WHERE relkind <> 'f')
