-- The tables of the publication $1 that a request means, as schema.table: up to
-- 64 behind $2 if $3 is null, else all that are the table $3.$4 or its partitions
-- and children.  Of each: the first leaf and the blocks of all its leaves, as
-- snapshot_leaves.sql has them.
WITH RECURSIVE meant AS (
	SELECT c.oid, n.nspname, c.relname
	FROM pg_catalog.pg_class c
	JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname = $3::text AND c.relname = $4::text
	UNION
	SELECT c.oid, n.nspname, c.relname
	FROM meant
	JOIN pg_catalog.pg_inherits i ON i.inhparent = meant.oid
	JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
	JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace),
wanted AS (
	SELECT pg_catalog.format('%I.%I', p.schemaname, p.tablename) COLLATE "C"
	           AS name
	FROM pg_catalog.pg_publication_tables p
	WHERE p.pubname = $1
	  AND CASE WHEN $3::text IS NULL
	      THEN pg_catalog.format('%I.%I', p.schemaname, p.tablename)
	               COLLATE "C" > $2
	      ELSE (p.schemaname, p.tablename)
	           IN (SELECT nspname, relname FROM meant) END
	ORDER BY name
	LIMIT CASE WHEN $3 IS NULL THEN 64 END)
SELECT w.name, coalesce(l.leaf, w.name), coalesce(l.blocks, 0)
FROM wanted w
CROSS JOIN LATERAL (
	WITH RECURSIVE tree AS (
	    SELECT pg_catalog.to_regclass(w.name)::oid AS oid
	    UNION ALL
	    SELECT c.oid FROM tree
	    JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid
	    JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
	     AND c.relispartition)
	SELECT (pg_catalog.array_agg(pg_catalog.format('%I.%I', n.nspname,
	           c.relname) ORDER BY c.oid))[1] AS leaf,
	       sum(CASE WHEN c.relkind <> 'f' THEN greatest(c.relpages, 0) END)
	           AS blocks
	FROM pg_catalog.pg_class c
	JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	JOIN tree ON tree.oid = c.oid
	WHERE c.relkind <> 'p') l
ORDER BY w.name
