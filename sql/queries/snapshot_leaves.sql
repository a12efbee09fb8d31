-- The first leaf of the table $1 behind the one with the OID $2, and the blocks of
-- all its leaves, an estimate: of a partitioned table its partitions that hold
-- rows, else itself.  pg_relation_size() and pg_partition_tree() would wait for
-- locks.
WITH RECURSIVE tree AS (
	SELECT pg_catalog.to_regclass($1)::oid AS oid
	UNION ALL
	SELECT c.oid FROM tree
	JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid
	JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition),
leaves AS (
	SELECT c.oid, c.relkind, greatest(c.relpages, 0) AS blocks,
	       pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
	FROM pg_catalog.pg_class c
	JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	JOIN tree ON tree.oid = c.oid
	WHERE c.relkind <> 'p')
SELECT (SELECT name FROM leaves WHERE oid > $2 ORDER BY oid LIMIT 1),
       (SELECT coalesce(sum(blocks), 0) FROM leaves WHERE relkind <> 'f')
